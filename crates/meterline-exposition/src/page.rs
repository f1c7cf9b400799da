/// Takes a chunk out of the buffer.
type Full<'a> = &'a mut dyn FnMut(&mut Vec<u8>);

/// Where encoders write: bytes that are taken away in chunks, if anybody wants them so.
pub(crate) struct Page<'a> {
    pub(crate) out: &'a mut Vec<u8>,
    chunk: usize,
    full: Option<Full<'a>>,
}

impl<'a> Page<'a> {
    pub(crate) fn whole(out: &'a mut Vec<u8>) -> Self {
        Self {
            out,
            chunk: usize::MAX,
            full: None,
        }
    }

    pub(crate) fn in_chunks(out: &'a mut Vec<u8>, chunk: usize, full: Full<'a>) -> Self {
        Self {
            out,
            chunk,
            full: Some(full),
        }
    }

    /// To be called where a chunk may end.
    #[inline]
    pub(crate) fn may_end_chunk(&mut self) {
        if self.out.len() >= self.chunk
            && let Some(full) = &mut self.full
        {
            full(self.out);
        }
    }

    /// Makes room for this many bytes, as far as they will be in one chunk.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        let left = self.chunk.saturating_sub(self.out.len());
        self.out.reserve(bytes.min(left));
    }
}
