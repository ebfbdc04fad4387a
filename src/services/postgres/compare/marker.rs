//! The link from source to target, if logical replication makes one, and when the target has what the source had.
//!
//! A place in the source's log, read after a snapshot was taken, lies behind everything that the snapshot shows. Once the
//! subscription's slot says that the target has confirmed that place (`confirmed_flush_lsn`), a snapshot of the target taken
//! then shows all of it, and perhaps more.

use std::time::Duration;

use super::{
    super::{Session, types::Type},
    side::{Side, ask},
};
use crate::{
    base::{Class, Failure},
    plan::Cx,
};

/// The slots at the source by which the target is fed.
#[derive(Debug, Clone)]
pub(super) struct Link {
    slots: Vec<String>,
}

/// Between two looks at the slots.
const LOOK: Duration = Duration::from_millis(50);

const SUBSCRIBED: &str = "SELECT s.subslotname::text FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d \
    ON d.oid = s.subdbid WHERE d.datname = current_database() AND s.subenabled AND s.subslotname IS NOT NULL";
const SLOTS: &str = "SELECT slot_name::text FROM pg_catalog.pg_replication_slots WHERE slot_type = 'logical' \
    AND database = current_database() AND slot_name::text = ANY ($1::text[])";
const BEHIND: &str = "SELECT coalesce(max($1::text::numeric - pg_catalog.pg_wal_lsn_diff(confirmed_flush_lsn, '0/0')), 0)::float8, \
    count(*), bool_and(active) FROM pg_catalog.pg_replication_slots WHERE slot_name::text = ANY ($2::text[])";

impl Link {
    /// The link between two servers, before anything else is asked.
    pub async fn find(source: &Session, target: &Session) -> Result<Option<Self>, Failure> {
        let rows = ask(target, SUBSCRIBED, &[], "reading the subscriptions of the target").await?;
        let names: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        if names.is_empty() {
            return Ok(None);
        }
        let rows = ask(source, SLOTS, &[(&names, Type::TEXT_ARRAY)], "reading the slots of the source").await?;
        let slots: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        Ok((!slots.is_empty()).then_some(Self { slots }))
    }

    /// Waits until the target has what the source had at a place in its log.
    ///
    /// # Errors
    /// `NotYet` where it has not in time.
    pub async fn reached(&self, source: &Side, lsn: &str, within: Duration, cx: &Cx) -> Result<(), Failure> {
        let until = tokio::time::Instant::now() + within;
        loop {
            let params: [super::side::Param<'_>; 2] = [(&lsn, Type::TEXT), (&self.slots, Type::TEXT_ARRAY)];
            let rows = source.rows(BEHIND, &params, "looking how far the target is").await?;
            let Some(row) = rows.first() else { return Ok(()) };
            let (behind, slots, active): (f64, i64, Option<bool>) = (row.get(0), row.get(1), row.get(2));
            if usize::try_from(slots).ok() != Some(self.slots.len()) {
                return Err(Failure::new(Class::NotYet, "no data: a replication slot is gone at the source"));
            }
            if behind <= 0.0 {
                return Ok(());
            }
            if tokio::time::Instant::now() >= until {
                let words =
                    format!("the target is {behind:.0} bytes of log behind the source after {} s", within.as_secs());
                let failure = Failure::new(Class::NotYet, words);
                return Err(if active == Some(true) {
                    failure.hint("wait until it has caught up, or give `marker_wait` more time")
                } else {
                    failure.hint("nobody reads the replication slot: look whether the subscription works")
                });
            }
            cx.progress(0.0, format!("waiting for the target, {behind:.0} bytes of log behind"));
            cx.pause(LOOK).await?;
        }
    }
}
