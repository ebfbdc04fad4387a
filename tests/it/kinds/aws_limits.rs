//! Deadlines of a call to AWS: connecting, one request, the whole attempt; and which one struck, by the SDK's clients
//! and by the signed one alike. Throttling is waited out within the attempt.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use gonogo::base::{Class, Failure};
use serde_json::json;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::aws::{Answer, Proxy, Spoil, at, caller, check, cx, nobody, play};

/// ECS answers through the SDK, STS through the signed client.
const BOTH: [(&str, &str); 2] = [("ecs.steady", "cluster = \"c\"\nservice = \"web\""), ("aws.identity", "")];

async fn look(kind: &str, text: &str, endpoint: &str, limit: Duration) -> (Failure, Duration) {
    let begun = Instant::now();
    let failure = check(kind, text, &at(endpoint)).check(&cx(limit)).await.unwrap_err();
    (failure, begun.elapsed())
}

/// A port whose queue is full: the handshake of one more connection is never finished.
async fn deaf() -> (String, TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
        queued.push(stream);
        assert!(queued.len() < 64, "the queue is never full");
    }
    (format!("http://{address}"), listener, queued)
}

#[tokio::test]
async fn the_limit_of_connecting() {
    let (endpoint, _listener, _queued) = deaf().await;
    let all = BOTH.map(|(kind, text)| look(kind, text, &endpoint, Duration::from_millis(6500)));
    for (failure, took) in futures_util::future::join_all(all).await {
        let words = format!("{failure:?}");
        assert!(words.contains("no connection within 5s (the limit of connecting)"), "{words}");
        assert!(words.contains("the deadline of the whole attempt passed"), "{words}");
        assert_eq!(failure.class, Class::FailedNothingDone, "{words}");
        assert!(took < Duration::from_secs(9), "{took:?}");
    }
}

#[tokio::test]
async fn the_limit_of_one_request() {
    let proxy = Proxy::new(&play(|_| caller("1")).await, "HTTP/1.1", Spoil::Swallow).await;
    let all = BOTH.map(|(kind, text)| look(kind, text, &proxy.endpoint, Duration::from_millis(16_500)));
    for (failure, took) in futures_util::future::join_all(all).await {
        let words = format!("{failure:?}");
        assert!(words.contains("no answer within 15s (the limit of one request)"), "{words}");
        assert!(words.contains("the deadline of the whole attempt passed"), "{words}");
        assert!(took < Duration::from_secs(20), "{took:?}");
    }
}

#[tokio::test]
async fn the_limit_of_the_whole_attempt() {
    let proxy = Proxy::new(&play(|_| caller("1")).await, "HTTP/1.1", Spoil::Swallow).await;
    for (kind, text) in BOTH {
        let (failure, took) = look(kind, text, &proxy.endpoint, Duration::from_millis(300)).await;
        assert!(failure.message.starts_with("timed out: the deadline of the whole attempt passed while"), "{failure}");
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
}

#[tokio::test]
async fn nobody_there_is_no_timeout() {
    let endpoint = nobody().await;
    for (kind, text) in BOTH {
        let (failure, _) = look(kind, text, &endpoint, Duration::from_secs(30)).await;
        assert!(failure.message.ends_with("no connection"), "{failure:?}");
        assert!(failure.causes.iter().any(|cause| cause.starts_with("sent 3 times")), "{failure:?}");
    }
}

/// Throttled with HTTP 400: waited out with growing waits, and given up only at the attempt's own end.
#[tokio::test]
async fn throttling_is_waited_out_within_the_attempt() {
    for (kind, text) in BOTH {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let endpoint = play(move |asked| {
            let n = count.fetch_add(1, Ordering::SeqCst);
            match asked.operation.as_str() {
                "GetCallerIdentity" if n < 3 => Answer::xml_error(400, "Throttling", "Rate exceeded"),
                "GetCallerIdentity" => caller("111122223333"),
                _ if n < 3 => Answer::json_error(400, "ThrottlingException", "Rate exceeded"),
                _ => {
                    let one = json!({ "status": "PRIMARY", "taskDefinition": "web:1", "desiredCount": 1, "runningCount": 1,
                        "pendingCount": 0, "rolloutState": "COMPLETED" });
                    Answer::json(json!({ "failures": [], "services": [{ "status": "ACTIVE", "taskDefinition": "web:1",
                        "desiredCount": 1, "runningCount": 1, "pendingCount": 0, "deployments": [one] }] }))
                }
            }
        })
        .await;
        check(kind, text, &at(&endpoint)).check(&cx(Duration::from_secs(30))).await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 4);

        let endpoint = play(|asked| match asked.operation.as_str() {
            "GetCallerIdentity" => Answer::xml_error(400, "Throttling", "Rate exceeded"),
            _ => Answer::json_error(400, "ThrottlingException", "Rate exceeded"),
        })
        .await;
        let (failure, took) = look(kind, text, &endpoint, Duration::from_secs(2)).await;
        assert_eq!(failure.class, Class::FailedNothingDone);
        assert!(failure.message.contains("Throttling") && took < Duration::from_secs(4), "{failure:?} {took:?}");
        assert!(failure.causes.iter().any(|cause| cause.contains("request id req-1")), "{failure:?}");
        assert!(failure.hint.unwrap().contains("wait a little"));
    }
}
