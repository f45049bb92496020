//! The client against what is not a gateway, or not one of this version.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use portcullis_api::rows::DropRow;
use portcullis_api::{Client, ClientError, Request, Show};

/// Somebody who says these lines when he is connected to, and these when he is asked.
struct Impostor {
    path: PathBuf,
    thread: Option<JoinHandle<()>>,
}

impl Impostor {
    fn new(name: &str, greeting: &'static str, answer: &'static str) -> Self {
        let path = std::env::temp_dir().join(format!("pc-client-{}-{name}", std::process::id()));
        let listener = UnixListener::bind(&path).expect("a socket");
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            stream.write_all(greeting.as_bytes()).expect("said");
            let mut asked = String::new();
            let mut reader = BufReader::new(stream.try_clone().expect("the same socket"));
            if reader.read_line(&mut asked).is_ok_and(|length| length > 0) {
                stream.write_all(answer.as_bytes()).expect("said");
            }
        });
        Self { path, thread: Some(thread) }
    }

    /// What a client reads from him.
    fn rows(&self) -> Result<Vec<u64>, ClientError> {
        let mut client = Client::connect(&self.path)?;
        let answer = client.ask::<DropRow>(&Request::Show(Show::Drops {}))?;
        answer.map(|row| row.map(|row| row.packets)).collect()
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        _ = self.thread.take().map(JoinHandle::join);
        _ = std::fs::remove_file(&self.path);
    }
}

const HELLO: &str = "{\"hello\":{\"protocol\":1,\"version\":\"0\",\"gateway\":\"g\"}}\n";
const ROW: &str =
    "{\"row\":{\"reason\":\"a\",\"packets\":7,\"help\":\"\",\"of_a_later_version\":1}}\n";

#[test]
fn rows_with_fields_of_a_later_version_are_understood() {
    let answer = Box::leak(format!("{ROW}{ROW}{{\"end\":{{\"rows\":2}}}}\n").into_boxed_str());
    assert_eq!(Impostor::new("later", HELLO, answer).rows().expect("understood"), [7, 7]);
}

#[test]
fn an_answer_that_is_cut_off_is_an_error_after_its_rows() {
    let cut = Impostor::new("cut", HELLO, ROW).rows();
    assert!(matches!(cut, Err(ClientError::Broken(_))), "{cut:?}");
    let within = Impostor::new("cut-within", HELLO, "{\"row\":{\"rea").rows();
    assert!(matches!(within, Err(ClientError::Broken(_))), "{within:?}");
}

#[test]
fn a_gateway_of_another_protocol_is_named() {
    let other = "{\"hello\":{\"protocol\":9,\"version\":\"3.0.0\",\"gateway\":\"g\"}}\n";
    let error = Impostor::new("other", other, "").rows().expect_err("not understood").to_string();
    assert!(error.contains("(version 3.0.0) speaks version 9"), "{error}");
}

#[test]
fn who_does_not_greet_is_no_gateway() {
    for (name, said) in
        [("http", "HTTP/1.1 400 Bad Request\n"), ("end", "{\"end\":{\"rows\":0}}\n")]
    {
        let error = Impostor::new(name, said, "").rows();
        assert!(matches!(error, Err(ClientError::Nonsense(_))), "{error:?}");
    }
}

#[test]
fn nobody_there_is_said_with_the_path() {
    let error = Client::connect(Path::new("/nonexistent/gw.sock")).expect_err("nobody");
    let text = error.to_string();
    assert!(text.starts_with("no gateway answers at /nonexistent/gw.sock: "), "{text}");
}
