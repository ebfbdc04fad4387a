//! What a disk must offer before a run begins on it: locks that hold, space, and a reserve.

use std::{fs::File, io::Write, os::fd::AsFd, path::Path};

use rustix::{
    fs::{FallocateFlags, fallocate, fstatfs, fstatvfs},
    io::Errno,
};

use super::{
    error::RunDirError,
    folder::{Folder, io_error},
};

const MIB: u64 = 1 << 20;
const RESERVE: &str = "reserve";

/// Demands on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Free bytes for a run to begin.
    pub free: u64,
    /// Bytes set aside for the outcome of what is in flight when the disk is full. An outcome is at
    /// most about 64 KiB and a few attempts run side by side.
    pub reserve: u64,
    /// Accept a network or user-space file system, whose locks may not hold.
    pub shared: bool,
}

impl Default for Room {
    fn default() -> Self {
        Self { free: 256 * MIB, reserve: MIB, shared: false }
    }
}

/// File systems where `flock` or a sync may be a matter of the server's or a program's goodwill, by the
/// numbers of `statfs(2)` and `linux/magic.h`. Overlays are not among them: the run's files are created
/// by us, so they live in the upper layer and their locks hold.
const SHARED: [(u64, &str); 16] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB 2"),
    (0x564c, "NCP"),
    (0x0102_1997, "9P"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x6573_5546, "FUSE"),
    (0x7461_636f, "OCFS2"),
    (0x0116_1970, "GFS2"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x786f_4256, "a VirtualBox share"),
];

/// Refuses a file system where one writer cannot be held to be the only one.
pub(super) fn local(at: impl AsFd, path: &Path, room: Room) -> Result<(), RunDirError> {
    if room.shared {
        return Ok(());
    }
    match shared(at) {
        Some(kind) => Err(RunDirError::SharedFilesystem { path: path.to_owned(), kind }),
        None => Ok(()),
    }
}

#[cfg(target_os = "linux")]
fn shared(at: impl AsFd) -> Option<&'static str> {
    // The magic is a C long: on 32 bits CIFS comes out negative.
    #[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "the number is 32 bits of a pattern")]
    let magic = u64::from(fstatfs(at).ok()?.f_type as u32);
    SHARED.iter().find(|(number, _)| *number == magic).map(|(_, name)| *name)
}

#[cfg(not(target_os = "linux"))]
fn shared(_: impl AsFd) -> Option<&'static str> {
    None
}

/// Refuses a disk that is nearly full.
pub(super) fn free(at: impl AsFd, path: &Path, room: Room) -> Result<(), RunDirError> {
    let disk = fstatvfs(at).map_err(io_error("look at", path))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < room.free {
        return Err(RunDirError::NoRoom { path: path.to_owned(), free: free / MIB, wanted: room.free / MIB });
    }
    Ok(())
}

/// Keeps a write beyond `ulimit -f` from killing the process: the signal for it (`SIGXFSZ`) is taken, so the write
/// fails and the journal says why. For the whole process, for good; call it in a runtime with signals enabled.
///
/// # Errors
/// If the signal cannot be taken.
pub fn outlive_file_size_limit() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    // Once taken, a signal stays taken: nobody has to listen.
    signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).map(drop)
}

/// Sets space aside, again where it was given up.
pub(super) fn reserve(folder: &Folder, room: Room) -> Result<(), RunDirError> {
    let there = folder.read(RESERVE)?.map(|file| file.metadata().map_err(folder.io("look at", RESERVE))).transpose()?;
    if there.is_some_and(|file| file.len() >= room.reserve) {
        return Ok(());
    }
    folder.remove(RESERVE)?;
    let file = folder.create(RESERVE)?;
    match fallocate(&file, FallocateFlags::empty(), 0, room.reserve) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => zeros(&file, room.reserve).map_err(folder.io("write", RESERVE)),
        Err(errno) => Err(folder.io("set space aside in", RESERVE)(errno)),
    }?;
    file.sync_all().map_err(folder.io("write", RESERVE))
}

/// Where space cannot be set aside without writing (ZFS), it is written.
fn zeros(mut file: &File, size: u64) -> std::io::Result<()> {
    let page = [0; 4096];
    (0..size.div_ceil(4096)).try_for_each(|_| file.write_all(&page))
}

/// Gives the space back. The folder is synced because a file system may hand freed blocks out only then.
pub(super) fn give_up(folder: &Folder) -> Result<(), RunDirError> {
    folder.remove(RESERVE)?;
    folder.sync()
}
