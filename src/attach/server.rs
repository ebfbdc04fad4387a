//! The run's end of the socket: a thread of its own, so that no client can stop the run.
//!
//! What bounds a client: its user, the length of its line, the time it may take to say it and to read the answer,
//! how many there are, how many pages and how many words a second there are for all of them together.

mod pace;

use std::{io, sync::Arc, time::Duration};

use rustix::process::geteuid;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream, unix::UCred},
    sync::{Semaphore, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use self::pace::Pace;
use super::{
    refusal::code,
    wire::{Answer, Ask, Asked, ErrorCode, LONGEST_ASK, PAGE, VERSION},
};
use crate::{
    base::{PersonId, RunId, clean_line},
    journal::{RunDir, RunDirError},
    log::{EventLog, InputSender, Playhead, Said},
    run::{Envelope, Intent, Refusal, Via},
};

/// Clients at once: everybody of a large night, and a status line on their other screens.
const CLIENTS: usize = 32;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 128;
/// How long a client may be silent, and how long a line may take. A client asks at once.
const SILENCE: Duration = Duration::from_secs(5);
/// How long a client may take to read an answer.
const READING: Duration = Duration::from_secs(10);
/// How long the run may take to make a word durable: a disk in trouble needs half a minute for a sync.
const DURABLE: Duration = Duration::from_secs(60);
/// How long answers that are under way are waited for at the end.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// Longest words about where a client sits.
const FROM: usize = 120;

/// What the server is made of.
pub struct Parts {
    /// The run.
    pub run: RunId,
    /// What happened.
    pub log: EventLog,
    /// What time it is.
    pub playhead: Arc<dyn Playhead>,
    /// The way to the conductor.
    pub inputs: InputSender,
}

/// Why nobody can attach. Completes "other terminals cannot vote: …".
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The name cannot be made.
    #[error(transparent)]
    Dir(#[from] RunDirError),
    /// The thread or its runtime cannot be made.
    #[error("no thread for the socket: {0}")]
    Thread(io::Error),
}

/// A run that listens.
#[derive(Debug)]
pub struct Server {
    dir: Arc<RunDir>,
    stop: CancellationToken,
    over: oneshot::Receiver<()>,
}

impl Server {
    /// Listens at the run's socket, on a thread of its own.
    ///
    /// # Errors
    /// Where the socket or the thread cannot be made. The run can do without.
    pub async fn start(dir: Arc<RunDir>, parts: Parts) -> Result<Self, StartError> {
        let stop = CancellationToken::new();
        let (tell, started) = oneshot::channel();
        let (done, over) = oneshot::channel();
        let (token, folder) = (stop.clone(), dir.clone());
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => return drop(tell.send(Err(StartError::Thread(error)))),
            };
            runtime.block_on(async move {
                match folder.listen(bind) {
                    Ok(listener) => {
                        let _starter_gone = tell.send(Ok(()));
                        Desk::new(parts).serve(listener, token).await;
                    }
                    Err(error) => drop(tell.send(Err(error.into()))),
                }
            });
            let _stopper_gone = done.send(());
        };
        std::thread::Builder::new().name("socket".into()).spawn(serve).map_err(StartError::Thread)?;
        let gone = || StartError::Thread(io::Error::other("it ended at once"));
        started.await.unwrap_or_else(|_| Err(gone()))?;
        Ok(Self { dir, stop, over })
    }

    /// Takes the socket away. Answers that are under way are still given.
    ///
    /// # Errors
    /// Where the name cannot be removed; nobody listens behind it all the same.
    pub async fn stop(self) -> Result<(), RunDirError> {
        let gone = self.dir.hang_up();
        self.stop.cancel();
        let _late = timeout(LAST_ANSWERS * 2, self.over).await;
        gone
    }
}

/// Private before it has a name: the permissions of a socket's name are those of the socket, less the umask.
fn bind(path: &std::path::Path) -> io::Result<UnixListener> {
    let socket = tokio::net::UnixSocket::new_stream()?;
    rustix::fs::fchmod(&socket, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
    socket.bind(path)?;
    socket.listen(BACKLOG)
}

/// True for a process of our own user. Root has other ways, and no business here.
fn ours(peer: &io::Result<UCred>, us: u32) -> bool {
    peer.as_ref().is_ok_and(|peer| peer.uid() == us)
}

/// What all clients share.
struct Desk {
    parts: Parts,
    /// One word at a time, at this pace.
    words: tokio::sync::Mutex<Pace>,
    pages: tokio::sync::Mutex<Pace>,
    clients: Arc<Semaphore>,
    answering: Arc<Semaphore>,
}

impl Desk {
    fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            parts,
            words: tokio::sync::Mutex::new(Pace::words()),
            pages: tokio::sync::Mutex::new(Pace::pages()),
            clients: Arc::new(Semaphore::new(CLIENTS)),
            answering: Arc::new(Semaphore::new(CLIENTS)),
        })
    }

    async fn serve(self: Arc<Self>, listener: UnixListener, stop: CancellationToken) {
        let us = geteuid().as_raw();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else {
                // No descriptor is left: the kernel keeps who waits.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let peer = stream.peer_cred();
            if !ours(&peer, us) {
                turn_away(stream, ErrorCode::Foreign, "this run answers to its own user only");
                continue;
            }
            let pid = peer.ok().and_then(|peer| peer.pid());
            match self.clients.clone().try_acquire_owned() {
                Ok(place) => {
                    let desk = self.clone();
                    tokio::spawn(async move {
                        let _hung_up = desk.client(stream, Peer { uid: us, pid }).await;
                        drop(place);
                    });
                }
                Err(_) => turn_away(stream, ErrorCode::Busy, "too many terminals ask at once"),
            }
        }
        drop(listener);
        let all = u32::try_from(CLIENTS).unwrap_or(u32::MAX);
        let _late = timeout(LAST_ANSWERS, self.answering.acquire_many(all)).await;
    }

    async fn client(&self, stream: UnixStream, peer: Peer) -> io::Result<()> {
        let (read, mut write) = stream.into_split();
        let mut read = BufReader::new(read);
        loop {
            let mut line = Vec::new();
            // One byte more than a line may have is enough to know that it is none.
            let mut bounded = (&mut read).take(LONGEST_ASK as u64 + 1);
            let reading = bounded.read_until(b'\n', &mut line);
            match timeout(SILENCE, reading).await {
                Ok(Ok(0)) | Err(_) => return Ok(()),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(error),
            }
            let too_long = line.len() > LONGEST_ASK;
            let _under_way = self.answering.acquire().await;
            let answer = if too_long {
                Answer::error(ErrorCode::TooLong, format!("a question has at most {LONGEST_ASK} bytes"))
            } else {
                self.answer(&line, peer).await
            };
            timeout(READING, write.write_all(&answer.line())).await.map_err(|_| io::ErrorKind::TimedOut)??;
            if too_long {
                return Ok(());
            }
        }
    }

    async fn answer(&self, line: &[u8], peer: Peer) -> Answer {
        let asked = match read(line) {
            Ok(asked) => asked,
            Err(answer) => return answer,
        };
        if asked.run != self.parts.run {
            let say = format!("this is run {}, not {}", self.parts.run, asked.run);
            return Answer::error(ErrorCode::OtherRun, say);
        }
        let via = || Via { uid: peer.uid, pid: peer.pid, from: clean_line(asked.from.trim(), FROM) };
        match asked.ask {
            Ask::Events { after } => self.page(after).await,
            Ask::Vote { step, who, go, opening, reason } => {
                let intent = Intent::Vote { step, go, reason, opening: Some(opening), via: Some(via()) };
                self.say(who, intent).await
            }
            Ask::Note { who, text, step } => self.say(who, Intent::Note { text, step, via: Some(via()) }).await,
        }
    }

    /// Events behind the first `after`.
    async fn page(&self, after: usize) -> Answer {
        self.pages.lock().await.wait().await;
        let mut page = Vec::new();
        let mut bytes = 0;
        for envelope in self.parts.log.read(after, after.saturating_add(PAGE / LEAST)) {
            let Some(json) = raw(&envelope) else {
                return Answer::error(ErrorCode::Defect, format!("event {} cannot be written", envelope.seq));
            };
            bytes += json.get().len();
            page.push(json);
            if bytes >= PAGE {
                break;
            }
        }
        Answer::Events { now: self.parts.playhead.now(), total: self.parts.log.len(), page }
    }

    /// Says something to the run and waits until it is on disk, or refused.
    async fn say(&self, who: PersonId, intent: Intent) -> Answer {
        let mut pace = self.words.lock().await;
        if !pace.may() {
            return Answer::error(ErrorCode::Busy, "too much is said at once; again in a moment");
        }
        let said = Said::Intent { typed_by: who.clone(), who, intent };
        match timeout(DURABLE, self.parts.inputs.ask(said)).await {
            Ok(Ok(())) => Answer::Taken { total: self.parts.log.len() },
            Ok(Err(refusal)) => refused(&refusal),
            Err(_) => Answer::error(
                ErrorCode::Unanswered,
                "the run does not answer: nobody knows whether it was recorded; `gonogo status` tells",
            ),
        }
    }
}

/// The shortest record, bytes: more of them than fit a page are not looked at.
const LEAST: usize = 64;

/// Who is at the other end, as the kernel says.
#[derive(Debug, Clone, Copy)]
struct Peer {
    uid: u32,
    pid: Option<i32>,
}

/// A question of this version, or what is said instead.
fn read(line: &[u8]) -> Result<Asked, Answer> {
    #[derive(serde::Deserialize)]
    struct Version {
        v: u32,
    }
    let not_understood = |error: serde_json::Error| {
        Answer::error(ErrorCode::NotUnderstood, format!("not understood: {}", clean_line(&error.to_string(), 200)))
    };
    let Version { v } = serde_json::from_slice(line).map_err(not_understood)?;
    if v != VERSION {
        let say = format!("the run speaks version {VERSION}, you speak {v}; use the same gonogo");
        return Err(Answer::error(ErrorCode::Version, say));
    }
    serde_json::from_slice(line).map_err(not_understood)
}

fn refused(refusal: &Refusal) -> Answer {
    Answer::Refused { code: code(refusal).into(), say: refusal.to_string() }
}

fn raw(envelope: &Envelope) -> Option<Box<serde_json::value::RawValue>> {
    let json = String::from_utf8(envelope.encode().ok()?).ok()?;
    serde_json::value::RawValue::from_string(json).ok()
}

/// Says why nobody listens and hangs up. A client that does not read it has to do without.
fn turn_away(stream: UnixStream, code: ErrorCode, say: &str) {
    if let Ok(stream) = stream.into_std() {
        let _unread = io::Write::write(&mut &stream, &Answer::error(code, say).line());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The credentials of a real peer, compared with ourselves and with somebody else: the same as if a process of
    /// another user had connected.
    #[tokio::test]
    async fn only_our_own_user_is_ours() {
        let (stream, _other) = UnixStream::pair().unwrap();
        let us = geteuid().as_raw();
        assert!(ours(&stream.peer_cred(), us));
        assert!(!ours(&stream.peer_cred(), us + 1));
        assert!(!ours(&Err(io::Error::other("no credentials")), us));
    }

    #[test]
    fn questions_of_other_versions_are_told_apart() {
        let say = |line: &str| match read(line.as_bytes()) {
            Ok(asked) => format!("{:?}", asked.ask),
            Err(Answer::Error { code, say }) => format!("{code:?}: {say}"),
            Err(other) => format!("{other:?}"),
        };
        let run = r#""run":"20261206-013000-7f3a9c""#;
        assert_eq!(say(&format!(r#"{{"v":1,{run},"ask":{{"events":{{"after":3}}}}}}"#)), "Events { after: 3 }");
        assert!(say(&format!(r#"{{"v":2,{run},"ask":{{"dance":{{}}}}}}"#)).starts_with("Version"));
        assert!(say(&format!(r#"{{"v":1,{run},"ask":{{"go":{{}}}}}}"#)).starts_with("NotUnderstood"), "no decisions");
        for bad in
            ["", "{}", "\0\0", "{\"v\":1}", "[[[[", "{\"v\":1,\"run\":\"../x\",\"ask\":{\"events\":{\"after\":0}}}"]
        {
            assert!(say(bad).starts_with("NotUnderstood"), "{bad}");
        }
    }
}
