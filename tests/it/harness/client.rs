//! A blocking client that speaks lines.
//!
//! It decides nothing and retries nothing: what a test sends is what goes out, and every line that
//! comes back is looked at. A daemon that stays silent fails the test instead of hanging it.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use super::shape;
use super::wait::PATIENCE;

/// One connection.
pub(crate) struct Client {
    reader: BufReader<UnixStream>,
}

impl Client {
    /// Connects.
    pub(crate) fn connect(socket: &Path) -> Client {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { reader: BufReader::new(stream) }
    }

    /// The socket itself.
    pub(crate) fn stream(&mut self) -> &mut UnixStream {
        self.reader.get_mut()
    }

    /// Sends one line.
    pub(crate) fn send(&mut self, line: &Value) {
        self.send_bytes(format!("{line}\n").as_bytes());
    }

    /// Sends exactly these bytes.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        shape::sent(bytes);
        self.stream().write_all(bytes).unwrap();
    }

    /// The next line, without its newline.
    pub(crate) fn line(&mut self) -> String {
        self.next_line().expect("the daemon closed the connection")
    }

    /// The next line as JSON.
    pub(crate) fn recv(&mut self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    /// Sends a line and takes the next one as its answer.
    pub(crate) fn ask(&mut self, line: &Value) -> Value {
        self.send(line);
        self.recv()
    }

    /// The same on a connection that the daemon may be closing.
    pub(crate) fn try_ask(&mut self, line: &Value) -> Option<Value> {
        // It may already be closed for writing, and still hold a last line.
        let _ = writeln!(self.stream(), "{line}");
        Some(serde_json::from_str(&self.next_line()?).unwrap())
    }

    /// The same, for a request that must be answered well.
    pub(crate) fn ask_ok(&mut self, line: &Value) -> Value {
        let reply = self.ask(line);
        assert_eq!(reply["ok"], true, "{reply}");
        reply
    }

    /// Says that nothing more will be sent, as `socat` does.
    pub(crate) fn end_writing(&mut self) {
        self.stream().shutdown(Shutdown::Write).unwrap();
    }

    /// Whether the daemon has closed; a line that comes instead is a failure.
    pub(crate) fn expect_end(&mut self) {
        assert_eq!(self.next_line(), None);
    }

    fn next_line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => None,
            // A socket closed with unread bytes in it ends like this.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no line within {PATIENCE:?}: {error}"),
            Ok(_) => {
                assert_eq!(line.pop(), Some('\n'), "a line ended without its newline: {line:?}");
                shape::received(&line);
                Some(line)
            }
        }
    }
}
