//! An HTTP server of the test's own, down to the bytes: answers, hangs, resets, drips.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// From 0.
    pub count: usize,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// What it does.
pub enum Say {
    /// Status, headers, body.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Nothing, ever.
    Hang,
    /// A reset in the middle of an answer.
    Reset,
    /// A byte of the body every 50 ms, without end.
    Drip,
}

pub fn ok(body: impl Into<Vec<u8>>) -> Say {
    Say::Answer(200, Vec::new(), body.into())
}

pub struct FakeHttp {
    pub address: SocketAddr,
    pub asked: Arc<Mutex<Vec<Asked>>>,
    arrived: watch::Receiver<usize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for FakeHttp {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeHttp {
    pub async fn start(say: impl Fn(&Asked) -> Say + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, say) = (Arc::new(Mutex::new(Vec::new())), Arc::new(say));
        let (arrive, arrived) = watch::channel(0);
        let (all, arrive) = (asked.clone(), Arc::new(arrive));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (say, all, arrive) = (say.clone(), all.clone(), arrive.clone());
                tokio::spawn(async move { serve(stream, &*say, &all, &arrive).await });
            }
        });
        Self { address, asked, arrived, task }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// Requests that are no reads.
    pub fn changes(&self) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| !matches!(asked.method.as_str(), "GET" | "HEAD")).count()
    }

    /// Waits until so many changes have arrived.
    pub async fn until_changes(&self, many: usize) {
        let mut arrived = self.arrived.clone();
        while self.changes() < many {
            arrived.changed().await.unwrap();
        }
    }
}

async fn serve(
    mut stream: TcpStream,
    say: &(dyn Fn(&Asked) -> Say + Send + Sync),
    all: &Mutex<Vec<Asked>>,
    arrive: &watch::Sender<usize>,
) {
    while let Some(mut asked) = request(&mut stream).await {
        {
            let mut all = all.lock().unwrap();
            asked.count = all.len();
            all.push(asked.clone());
        }
        arrive.send_modify(|count| *count += 1);
        match say(&asked) {
            Say::Answer(status, headers, body) => {
                let mut text = format!("HTTP/1.1 {status} Text\r\ncontent-length: {}\r\n", body.len());
                for (name, value) in headers {
                    text += &format!("{name}: {value}\r\n");
                }
                let mut bytes = (text + "\r\n").into_bytes();
                if asked.method != "HEAD" {
                    bytes.extend(body);
                }
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Say::Hang => {
                let _ = stream.read_u8().await;
                return;
            }
            Say::Reset => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
                let _ = stream.set_zero_linger();
                return;
            }
            Say::Drip => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await;
                while stream.write_all(b".").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                return;
            }
        }
    }
}

/// The next request of a connection; `None` where it ended.
pub async fn request(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break end;
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect::<Vec<_>>();
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, n)| n.parse().unwrap());
    let mut body = bytes[end + 4..].to_vec();
    while body.len() < length {
        let mut chunk = [0; 4096];
        let n = stream.read(&mut chunk).await.ok().filter(|n| *n > 0)?;
        body.extend_from_slice(&chunk[..n]);
    }
    Some(Asked { method, path, headers, body: String::from_utf8_lossy(&body).into_owned(), count: 0 })
}
