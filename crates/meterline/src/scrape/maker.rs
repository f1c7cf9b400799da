use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use meterline_exposition::{
    Dropped, Escaping, Exposition, Families, TranslationOptions, Translator, encode_json,
};
use meterline_sdk::Snapshot;

use super::compress::Compressors;
use super::page::{CHUNK, PageWriter};
use super::{Content, PageKind, Section};

/// How long texts are kept for an escaping that nobody asks for any more.
const KEPT_FOR: Duration = Duration::from_mins(10);

/// What pages are made with; kept from page to page.
pub(super) struct Maker {
    options: TranslationOptions,
    /// One per escaping that makes a difference, with when it was used last.
    translators: Vec<(Escaping, Instant, Translator)>,
    compressors: Compressors,
    sections: Vec<(String, Section)>,
}

impl Maker {
    pub(super) fn new(options: TranslationOptions, sections: Vec<(String, Section)>) -> Self {
        Self {
            options,
            translators: Vec::new(),
            compressors: Compressors::default(),
            sections,
        }
    }

    /// Writes a page; tells how many bytes it has uncompressed, and what is missing.
    pub(super) fn make(
        &mut self,
        kind: &PageKind,
        snapshot: &Snapshot,
        page: PageWriter,
    ) -> io::Result<(usize, Dropped)> {
        let escaping = match kind.content {
            Content::Exposition(exposition) => exposition.escaping,
            Content::Json => Escaping::default(),
        };
        let translator = translator(&mut self.translators, &self.options, escaping);
        let families = translator.translate(snapshot);
        let mut dropped = families.dropped();
        let families = match &kind.only {
            Some(filter) => families.only(filter),
            None => families,
        };
        let mut out = self.compressors.begin(kind.coding, page)?;
        match kind.content {
            Content::Exposition(exposition) => {
                dropped = dropped.and(write_exposition(exposition, &families, &mut out)?);
            }
            Content::Json => write_json(&self.sections, &families, &mut out)?,
        }
        Ok((out.finish()?, dropped))
    }
}

fn translator<'t>(
    translators: &'t mut Vec<(Escaping, Instant, Translator)>,
    options: &TranslationOptions,
    escaping: Escaping,
) -> &'t mut Translator {
    let escaping = options.effective_escaping(escaping);
    let now = Instant::now();
    translators.retain(|(known, used, _)| *known == escaping || now - *used < KEPT_FOR);
    let at = translators
        .iter()
        .position(|(known, ..)| *known == escaping);
    let at = at.unwrap_or_else(|| {
        let mut options = options.clone();
        options.escaping = escaping;
        translators.push((escaping, now, Translator::new(options)));
        translators.len() - 1
    });
    let (_, used, translator) = &mut translators[at];
    *used = now;
    translator
}

fn write_exposition(
    exposition: Exposition,
    families: &Families<'_>,
    out: &mut super::compress::Output<'_>,
) -> io::Result<Dropped> {
    let mut buffer = out.take_buffer();
    let mut written = Ok(());
    let format = exposition.format;
    let dropped = format.encode_in_chunks(families, &mut buffer, CHUNK, &mut |chunk| {
        if written.is_ok() {
            written = out.take(chunk);
        }
        chunk.clear();
    });
    out.give_buffer(buffer);
    written.map(|()| dropped)
}

fn write_json(
    sections: &[(String, Section)],
    families: &Families<'_>,
    out: &mut super::compress::Output<'_>,
) -> io::Result<()> {
    let mut out = io::BufWriter::with_capacity(CHUNK, out);
    let now = jiff::Timestamp::now();
    write!(out, "{{\"timestamp\":\"{now:.3}\"")?;
    for (name, section) in sections {
        write!(out, ",{}:", serde_json::Value::from(name.as_str()))?;
        serde_json::to_writer(&mut out, &section())?;
    }
    out.write_all(b",\"metrics\":")?;
    encode_json(families, &mut out)?;
    out.write_all(b"}")?;
    out.flush()
}
