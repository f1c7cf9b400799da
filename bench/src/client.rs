//! An HTTP/1.1 client that costs next to nothing: it shares the machine with the server it
//! measures. It knows answers that state their length, and nothing else.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// An answer's head ends here.
const END: &[u8] = b"\r\n\r\n";

/// A connection that is kept.
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// The status, and where in the connection's buffer the body is.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

impl Connection {
    pub(crate) fn open(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            received: vec![0; 1 << 16],
        })
    }

    /// Sends a request as it is, and reads the answer to its end.
    pub(crate) fn ask(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.stream.write_all(request)?;
        let mut filled = 0;
        let (status, head, length) = loop {
            filled += self.fill(filled)?;
            let received = &self.received[..filled];
            let end = received.windows(END.len()).position(|at| at == END);
            if let Some(end) = end {
                let (status, length) = parse(&received[..end])?;
                break (status, end + END.len(), length);
            }
        };
        if self.received.len() < head + length {
            self.received.resize(head + length, 0);
        }
        while filled < head + length {
            filled += self.fill(filled)?;
        }
        Ok(Answer {
            status,
            body: &self.received[head..head + length],
        })
    }

    fn fill(&mut self, from: usize) -> io::Result<usize> {
        match self.stream.read(&mut self.received[from..])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            more => Ok(more),
        }
    }
}

/// The status and the body's length.
fn parse(head: &[u8]) -> io::Result<(u16, usize)> {
    let head = std::str::from_utf8(head).map_err(io::Error::other)?;
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse().ok())?
    });
    let status = status.and_then(|status| status.parse().ok());
    status
        .zip(length)
        .ok_or_else(|| io::Error::other(format!("not understood: {head}")))
}
