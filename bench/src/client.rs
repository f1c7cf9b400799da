//! An HTTP/1.1 client that costs next to nothing: it shares the machine with the server it
//! measures. It knows answers that state their length, or come in chunks, and nothing else.

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
        let (status, head, body) = loop {
            filled += self.fill(filled)?;
            let received = &self.received[..filled];
            let end = received.windows(END.len()).position(|at| at == END);
            if let Some(end) = end {
                let (status, body) = parse(&received[..end])?;
                break (status, end + END.len(), body);
            }
        };
        let length = match body {
            Body::Stated(length) => {
                while filled < head + length {
                    filled += self.fill(filled)?;
                }
                length
            }
            Body::Chunked => self.chunks(head, filled)?,
        };
        Ok(Answer {
            status,
            body: &self.received[head..head + length],
        })
    }

    /// Reads chunks to the last one, and joins them at `head`; the length of them all.
    fn chunks(&mut self, head: usize, mut filled: usize) -> io::Result<usize> {
        let (mut next, mut end) = (head, head);
        loop {
            let line = loop {
                let rest = &self.received[next..filled];
                match rest.windows(2).position(|at| at == b"\r\n") {
                    Some(line) => break line,
                    None => filled += self.fill(filled)?,
                }
            };
            let size = std::str::from_utf8(&self.received[next..next + line]);
            let size = usize::from_str_radix(size.map_err(io::Error::other)?, 16);
            let size = size.map_err(io::Error::other)?;
            let data = next + line + 2;
            next = data + size + 2;
            while filled < next {
                filled += self.fill(filled)?;
            }
            if size == 0 {
                return Ok(end - head);
            }
            self.received.copy_within(data..data + size, end);
            end += size;
        }
    }

    fn fill(&mut self, from: usize) -> io::Result<usize> {
        if self.received.len() == from {
            self.received.resize(2 * from, 0);
        }
        match self.stream.read(&mut self.received[from..])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            more => Ok(more),
        }
    }
}

/// How the end of a body is told.
enum Body {
    Stated(usize),
    Chunked,
}

/// The status, and how the body ends.
fn parse(head: &[u8]) -> io::Result<(u16, Body)> {
    let head = std::str::from_utf8(head).map_err(io::Error::other)?;
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let body = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return (value.trim() == "chunked").then_some(Body::Chunked);
        }
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse().ok().map(Body::Stated))?
    });
    let status = status.and_then(|status| status.parse().ok());
    status
        .zip(body)
        .ok_or_else(|| io::Error::other(format!("not understood: {head}")))
}
