//! `osapi.addr`: where a server that was given port 0 really listens.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The file, for as long as the server runs.
pub(super) struct AddrFile {
    path: PathBuf,
    content: String,
}

impl AddrFile {
    /// Writes `host:port` and a newline to `DIR/osapi.addr`. A reader sees all of it or nothing.
    pub(super) fn write(dir: &Path, address: SocketAddr) -> io::Result<Self> {
        let path = dir.join("osapi.addr");
        let draft = dir.join(format!("osapi.addr.{}", std::process::id()));
        let content = format!("{address}\n");
        // One left behind by a process of the same number goes; a link is not followed.
        let _ = fs::remove_file(&draft);
        let written = fs::File::create_new(&draft)
            .and_then(|mut file| file.write_all(content.as_bytes()))
            .and_then(|()| fs::rename(&draft, &path));
        if let Err(error) = written {
            let _ = fs::remove_file(&draft);
            return Err(error);
        }
        Ok(Self { path, content })
    }
}

impl Drop for AddrFile {
    fn drop(&mut self) {
        // Another server may have taken over the directory meanwhile: its file stays.
        if fs::read_to_string(&self.path).is_ok_and(|found| found == self.content)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "cannot remove the address file");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_and_removed_unless_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("osapi.addr");
        let first = AddrFile::write(dir.path(), ([127, 0, 0, 1], 1).into()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "127.0.0.1:1\n");
        let second = AddrFile::write(dir.path(), ([127, 0, 0, 1], 2).into()).unwrap();
        drop(first);
        assert_eq!(fs::read_to_string(&path).unwrap(), "127.0.0.1:2\n");
        drop(second);
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            0,
            "nothing is left behind"
        );
    }
}
