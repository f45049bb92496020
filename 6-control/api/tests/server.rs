//! The server against clients of every kind.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use portcullis_api::rows::{ChangeKind, ChangeRow, DropRow, ThreadRow};
use portcullis_api::server::{AnswerError, ControlSocket, Handler, Limits, Reply, serve};
use portcullis_api::{
    Change, Client, ClientError, ConfigFile, Greeting, MAX_FILE_REQUEST_LINE, MAX_REQUEST_LINE,
    Request, Show,
};

/// More rows than fit into any buffer on the way.
const MANY: u64 = 1_000_000;

/// A gateway that answers `drops` with many rows, `diff` with the size of the file, and refuses
/// everything else.
#[derive(Default)]
struct Many {
    written: AtomicU64,
    gone: AtomicU64,
}

impl Handler for Many {
    async fn answer(&self, request: Request, reply: &mut Reply<'_>) -> Result<(), AnswerError> {
        match request {
            Request::Show(Show::Drops {}) => {
                for packets in 0..MANY {
                    let row = DropRow { reason: "no-route".into(), packets, help: "Lost.".into() };
                    if let Err(error) = reply.row(&row).await {
                        self.gone.fetch_add(1, Ordering::Relaxed);
                        return Err(error);
                    }
                    self.written.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            }
            Request::Change(Change::Diff(ConfigFile { file, text })) => {
                let row = ChangeRow {
                    kind: ChangeKind::Changed,
                    what: file,
                    text: text.len().to_string(),
                    restart: false,
                };
                reply.row(&row).await
            }
            Request::Show(_) | Request::Flush(_) | Request::Change(_) => {
                Err(AnswerError::Refused("only drops here".into()))
            }
        }
    }
}

/// A server in a thread of its own, ended with the test.
struct Running {
    path: PathBuf,
    handler: Arc<Many>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    fn start(name: &str, limits: Limits) -> Self {
        let directory = std::env::temp_dir().join(format!("pc-api-{}", std::process::id()));
        let path = directory.join(format!("{name}.sock"));
        let handler = Arc::new(Many::default());
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let served = (path.clone(), Arc::clone(&handler));
        let thread = std::thread::spawn(move || {
            let (path, handler) = served;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let socket = ControlSocket::bind(&path).expect("a socket");
                ready.send(()).expect("the test waits");
                let greeting = Greeting::new("1.2.3", "gw1");
                tokio::select! {
                    () = serve(socket.listener(), greeting, handler, limits) => {}
                    _ = stopped => {}
                }
            });
        });
        is_ready.recv().expect("the server starts");
        Self { path, handler, stop: Some(stop), thread: Some(thread) }
    }

    fn client(&self) -> Client {
        Client::connect(&self.path).expect("a connection")
    }

    /// A connection that has been greeted, to say anything on.
    fn raw(&self) -> BufReader<UnixStream> {
        let stream = UnixStream::connect(&self.path).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        let mut stream = BufReader::new(stream);
        assert!(line(&mut stream).starts_with(r#"{"hello":{"protocol":1,"#));
        stream
    }

    /// Whether others are served: an answer comes, and soon.
    fn serves_others(&self) {
        let started = Instant::now();
        let mut client = self.client();
        let refused = client.ask::<ThreadRow>(&threads()).expect("sent").next();
        assert!(matches!(refused, Some(Err(ClientError::Refused(_)))), "{refused:?}");
        assert!(started.elapsed() < Duration::from_secs(5));
    }

    fn wait_for(&self, what: &str, happened: impl Fn(&Many) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !happened(&self.handler) {
            assert!(Instant::now() < deadline, "not within 20 s: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            assert!(thread.join().is_ok() || std::thread::panicking(), "the server panicked");
        }
        _ = self.path.parent().map(std::fs::remove_dir);
    }
}

fn threads() -> Request {
    Request::Show(Show::Threads {})
}

fn line(stream: &mut BufReader<UnixStream>) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).expect("a line");
    line
}

#[test]
fn a_million_rows_arrive_in_order_and_are_never_all_in_memory() {
    let server = Running::start("million", Limits::default());
    let mut client = server.client();
    assert_eq!(client.greeting().gateway, "gw1");
    let mut rows = client.ask::<DropRow>(&Request::Show(Show::Drops {})).expect("sent");
    assert_eq!(rows.next().expect("a row").expect("well").packets, 0);
    // The server has come to a halt, far from the end, since nobody reads.
    std::thread::sleep(Duration::from_millis(200));
    let ahead = server.handler.written.load(Ordering::Relaxed);
    assert!(ahead < MANY / 20, "{ahead} rows are on their way");
    let mut expected = 1;
    for row in rows {
        assert_eq!(row.expect("well").packets, expected);
        expected += 1;
    }
    assert_eq!(expected, MANY);
    let refused = client.ask::<ThreadRow>(&threads()).expect("sent").next();
    assert!(
        matches!(refused, Some(Err(ClientError::Refused(message))) if message == "only drops here")
    );
}

#[test]
fn nonsense_is_answered_with_an_error_and_the_next_request_is_served() {
    let server = Running::start("nonsense", Limits::default());
    let mut stream = server.raw();
    for nonsense in
        [&b"hello\n"[..], b"\n", b"\xff\xfe\0\n", b"{\"show\":\"weather\"}\n", b"[[[[\n"]
    {
        stream.get_mut().write_all(nonsense).expect("sent");
        let answer = line(&mut stream);
        assert!(answer.starts_with(r#"{"error":{"message":""#), "{answer}");
    }
    stream.get_mut().write_all(b"{\"show\":\"threads\"}\n").expect("sent");
    assert_eq!(line(&mut stream), "{\"error\":{\"message\":\"only drops here\"}}\n");
}

#[test]
fn deeply_nested_json_is_refused() {
    let server = Running::start("nested", Limits::default());
    let mut stream = server.raw();
    let nested = format!("{{\"show\":{}1\n", "[".repeat(MAX_REQUEST_LINE - 100));
    stream.get_mut().write_all(nested.as_bytes()).expect("sent");
    assert!(line(&mut stream).contains("recursion limit"));
    server.serves_others();
}

#[test]
fn a_line_without_an_end_is_refused_at_the_limit() {
    let server = Running::start("endless", Limits::default());
    let mut stream = server.raw();
    let endless = vec![b'x'; 4 * MAX_REQUEST_LINE];
    // The server may close before it is all sent.
    _ = stream.get_mut().write_all(&endless);
    let mut answer = String::new();
    _ = stream.read_line(&mut answer);
    assert!(answer.contains("a request has 16384 bytes at most"), "{answer}");
    let mut rest = Vec::new();
    _ = stream.read_to_end(&mut rest);
    assert!(rest.is_empty(), "the connection goes on");
    server.serves_others();
}

/// A request with a file of this text.
fn diff(text: String) -> Request {
    Request::Change(Change::Diff(ConfigFile { file: "gw1.toml".into(), text }))
}

#[test]
fn a_file_of_the_largest_size_fits_into_a_request_and_others_are_served_as_before() {
    let server = Running::start("file", Limits::default());
    let mut client = server.client();
    // Every byte is escaped.
    for size in [0, 100, MAX_REQUEST_LINE, 16 << 20] {
        let request = diff("\"".repeat(size));
        let rows: Vec<_> = client.ask::<ChangeRow>(&request).expect("sent").collect();
        assert!(matches!(&rows[..], [Ok(row)] if row.text == size.to_string()), "{rows:?}");
    }
    let refused = client.ask::<ThreadRow>(&threads()).expect("sent").next();
    assert!(matches!(refused, Some(Err(ClientError::Refused(_)))), "{refused:?}");
}

#[test]
fn a_file_that_is_too_large_is_refused_in_words() {
    let server = Running::start("large", Limits::default());
    let mut client = server.client();
    let answer = client.ask::<ChangeRow>(&diff("x".repeat(MAX_FILE_REQUEST_LINE)));
    let refused = answer.and_then(|mut rows| rows.next().expect("an answer"));
    let expected = format!("a request has {MAX_FILE_REQUEST_LINE} bytes at most");
    assert!(matches!(&refused, Err(ClientError::Refused(why)) if *why == expected), "{refused:?}");
    server.serves_others();
}

#[test]
fn only_so_many_files_are_in_memory_and_further_ones_wait_for_their_turn() {
    let server = Running::start("turns", Limits { files: 1, ..Limits::default() });
    let mut first = server.raw();
    let beginning =
        format!("{{\"diff\":{{\"file\":\"a\",\"text\":\"{}", "x".repeat(MAX_REQUEST_LINE));
    first.get_mut().write_all(beginning.as_bytes()).expect("sent");
    let mut second = server.raw();
    second.get_mut().write_all(format!("{beginning}\"}}}}\n").as_bytes()).expect("sent");
    second.get_mut().set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
    let early = second.read_line(&mut String::new());
    assert!(early.is_err(), "it is not its turn: {early:?}");
    server.serves_others();
    first.get_mut().write_all(b"\"}}\n").expect("sent");
    for stream in [&mut first, &mut second] {
        stream.get_mut().set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        assert!(line(stream).starts_with(r#"{"row":{"kind":"changed","what":"a","text":"16384""#));
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_of_an_answer_ends_only_its_own() {
    let server = Running::start("leaves", Limits::default());
    let mut stream = server.raw();
    stream.get_mut().write_all(b"{\"show\":\"drops\"}\n").expect("sent");
    assert!(line(&mut stream).starts_with(r#"{"row":"#));
    drop(stream);
    server
        .wait_for("the handler learns of it", |handler| handler.gone.load(Ordering::Relaxed) == 1);
    server.serves_others();
}

#[test]
fn a_client_that_does_not_read_is_given_up_and_others_do_not_wait_for_it() {
    let limits = Limits { write: Duration::from_millis(300), ..Limits::default() };
    let server = Running::start("slow", limits);
    let mut stream = server.raw();
    stream.get_mut().write_all(b"{\"show\":\"drops\"}\n").expect("sent");
    server.wait_for("the answer begins", |handler| handler.written.load(Ordering::Relaxed) > 0);
    server.serves_others();
    server.wait_for("it is given up", |handler| handler.gone.load(Ordering::Relaxed) == 1);
    server.serves_others();
}

#[test]
fn a_client_that_says_nothing_is_disconnected() {
    let limits = Limits { idle: Duration::from_millis(100), ..Limits::default() };
    let server = Running::start("idle", limits);
    let mut stream = server.raw();
    assert_eq!(line(&mut stream), "");
}

#[test]
fn a_request_that_ends_with_the_connection_is_answered() {
    let server = Running::start("half-closed", Limits::default());
    let mut stream = server.raw();
    stream.get_mut().write_all(b"{\"show\":\"threads\"}").expect("sent");
    stream.get_mut().shutdown(Shutdown::Write).expect("half closed");
    assert_eq!(line(&mut stream), "{\"error\":{\"message\":\"only drops here\"}}\n");
    assert_eq!(line(&mut stream), "");
}

#[test]
fn one_client_too_many_is_told_so_and_a_place_becomes_free_again() {
    let limits = Limits { clients: 2, ..Limits::default() };
    let server = Running::start("crowded", limits);
    let (first, _second) = (server.client(), server.client());
    let third = Client::connect(&server.path);
    assert!(
        matches!(&third, Err(ClientError::Refused(why)) if why.contains("too many")),
        "{third:?}"
    );
    drop(first);
    let deadline = Instant::now() + Duration::from_secs(20);
    while Client::connect(&server.path).is_err() {
        assert!(Instant::now() < deadline, "no place becomes free");
        std::thread::sleep(Duration::from_millis(5));
    }
}
