//! The body of a request, a piece at a time, so that it is known whether all of it was taken.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use hyper::body::{Body, Bytes, Frame, SizeHint};

/// What is handed over at once: a frame of HTTP/2 as servers take it unless they say otherwise.
const PIECE: usize = 16 << 10;

/// A body under way.
pub(super) struct Upload {
    rest: Bytes,
    /// Becomes true with the last piece; nobody needs to know of a body that is empty.
    taken: Option<Arc<AtomicBool>>,
}

impl Upload {
    /// The body, and what becomes true once all of it was taken.
    pub fn new(body: Option<Bytes>) -> (Self, Option<Arc<AtomicBool>>) {
        let rest = body.unwrap_or_default();
        let taken = (!rest.is_empty()).then(Arc::default);
        (Self { rest, taken: taken.clone() }, taken)
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let most = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(most);
        if self.rest.is_empty()
            && let Some(taken) = &self.taken
        {
            taken.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
