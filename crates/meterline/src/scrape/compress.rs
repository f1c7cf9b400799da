//! Compression of pages while they are written. The encoders' memory is kept from page to page.

use std::io;

use flate2::{Compress, Compression, FlushCompress, Status};
use meterline_exposition::Coding;
use zstd::stream::raw::{Encoder, InBuffer, Operation as _, OutBuffer};

use super::page::{CHUNK, PageWriter};

/// Pages are read once, on a machine nearby: speed matters more than the last byte. Level 1 of zstd
/// has a window of 512 KiB, far below what any reader accepts.
const GZIP_LEVEL: u32 = 1;
const ZSTD_LEVEL: i32 = 1;

/// The largest window of deflate, as gzip has it by default.
const GZIP_WINDOW_BITS: u8 = 15;

/// Room to be had for the encoder's next output.
const ROOM: usize = 16 << 10;

/// The encoders that were needed so far.
#[derive(Default)]
pub(super) struct Compressors {
    gzip: Option<Compress>,
    zstd: Option<Encoder<'static>>,
}

/// Where a page's bytes go to be compressed and sent.
pub(super) struct Output<'a> {
    encoder: Option<Box<dyn Compressor + 'a>>,
    page: PageWriter,
    /// Compressed, and not yet a chunk.
    compressed: Vec<u8>,
    /// A chunk that waits until it is known whether it is the last.
    waiting: Option<Vec<u8>>,
    bytes: usize,
}

/// An encoder with the state of one page.
trait Compressor {
    /// Appends as much of what `input` becomes as is ready.
    fn write(&mut self, input: &[u8], out: &mut Vec<u8>) -> io::Result<()>;

    /// Appends the rest.
    fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()>;
}

impl Compressors {
    /// Begins a page.
    pub(super) fn begin(&mut self, coding: Coding, page: PageWriter) -> io::Result<Output<'_>> {
        let encoder: Option<Box<dyn Compressor + '_>> = match coding {
            Coding::Identity => None,
            Coding::Gzip => {
                let level = Compression::new(GZIP_LEVEL);
                let new = || Compress::new_gzip(level, GZIP_WINDOW_BITS);
                let gzip = self.gzip.get_or_insert_with(new);
                gzip.reset();
                Some(Box::new(gzip))
            }
            Coding::Zstd => {
                let zstd = match self.zstd.take() {
                    Some(zstd) => zstd,
                    None => Encoder::new(ZSTD_LEVEL)?,
                };
                let zstd = self.zstd.insert(zstd);
                zstd.reinit()?;
                Some(Box::new(zstd))
            }
        };
        let compressed = if encoder.is_some() {
            page.buffer()
        } else {
            Vec::new()
        };
        Ok(Output {
            encoder,
            page,
            compressed,
            waiting: None,
            bytes: 0,
        })
    }
}

impl Output<'_> {
    /// A buffer to fill for [`take`](Self::take).
    pub(super) fn take_buffer(&self) -> Vec<u8> {
        self.page.buffer()
    }

    /// Takes a buffer back.
    pub(super) fn give_buffer(&self, buffer: Vec<u8>) {
        self.page.give(buffer);
    }

    /// Takes what is in `chunk`, and maybe its memory, for which another buffer is left there.
    pub(super) fn take(&mut self, chunk: &mut Vec<u8>) -> io::Result<()> {
        self.bytes += chunk.len();
        if let Some(encoder) = &mut self.encoder {
            encoder.write(chunk, &mut self.compressed)?;
            if self.compressed.len() >= CHUNK {
                let next = self.page.buffer();
                let full = std::mem::replace(&mut self.compressed, next);
                self.send(full);
            }
        } else if !chunk.is_empty() {
            let next = self.page.buffer();
            let full = std::mem::replace(chunk, next);
            self.send(full);
        }
        Ok(())
    }

    /// Ends the page; tells how many bytes it has uncompressed.
    pub(super) fn finish(mut self) -> io::Result<usize> {
        if let Some(encoder) = &mut self.encoder {
            encoder.finish(&mut self.compressed)?;
            let rest = std::mem::take(&mut self.compressed);
            self.send(rest);
        }
        self.page.end(self.waiting.unwrap_or_default());
        Ok(self.bytes)
    }

    fn send(&mut self, chunk: Vec<u8>) {
        if let Some(before) = self.waiting.replace(chunk) {
            self.page.push(before);
        }
    }
}

impl io::Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut chunk = self.take_buffer();
        chunk.extend_from_slice(bytes);
        self.take(&mut chunk)?;
        self.give_buffer(chunk);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Compressor for &mut Compress {
    fn write(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        while !input.is_empty() {
            out.reserve(ROOM);
            let before = self.total_in();
            self.compress_vec(input, out, FlushCompress::None)?;
            let taken = usize::try_from(self.total_in() - before).unwrap_or(input.len());
            input = &input[taken..];
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        loop {
            out.reserve(ROOM);
            if self.compress_vec(&[], out, FlushCompress::Finish)? == Status::StreamEnd {
                return Ok(());
            }
        }
    }
}

impl Compressor for &mut Encoder<'static> {
    fn write(&mut self, input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let mut input = InBuffer::around(input);
        while input.pos() < input.src.len() {
            out.reserve(ROOM);
            let at = out.len();
            self.run(&mut input, &mut OutBuffer::around_pos(out, at))?;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        loop {
            out.reserve(ROOM);
            let at = out.len();
            let left = Encoder::finish(self, &mut OutBuffer::around_pos(out, at), true)?;
            if left == 0 {
                return Ok(());
            }
        }
    }
}
