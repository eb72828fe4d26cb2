//! Secrets in files, and fresh ones.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use rustls::crypto::ring::default_provider;

/// The largest secret or PEM file read, in bytes.
pub(super) const MAX_FILE: u64 = 1 << 20;

/// A file could not be read or written. Nothing of it is kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The system refused; carries why.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others than the owner may read the file.
    #[error("{}: others can read this file (mode {mode:03o}); run: chmod 600 {}", path.display(), path.display())]
    Readable {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// There is such a file already.
    #[error("{}: exists already; it is not overwritten (move it away, or write elsewhere)", path.display())]
    Exists {
        /// Which file.
        path: PathBuf,
    },
    /// The file is larger than a secret ever is.
    #[error("{}: larger than {MAX_FILE} bytes; this is no secret or PEM file", path.display())]
    Large {
        /// Which file.
        path: PathBuf,
    },
}

/// Writes a file that is not there yet: one with a secret for its owner only, any other for all to read (on Unix).
///
/// # Errors
/// [`FileError`]: nothing was overwritten. A file that could not be written whole may be left.
pub fn write_new_file(path: impl AsRef<Path>, text: &str, secret: bool) -> Result<(), FileError> {
    let path = path.as_ref();
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(if secret { 0o600 } else { 0o644 });
    }
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|source| match source.kind() {
        std::io::ErrorKind::AlreadyExists => FileError::Exists { path: path.to_owned() },
        _ => FileError::Io { path: path.to_owned(), source },
    })
}

/// Reads a text file; one with a secret must not be readable by others.
pub(super) fn read(path: &Path, secret: bool) -> Result<String, FileError> {
    let io = |source| FileError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    let meta = file.metadata().map_err(io)?;
    if secret {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            let mode = meta.mode() & 0o777;
            if mode & 0o077 != 0 {
                return Err(FileError::Readable { path: path.to_owned(), mode });
            }
        }
    }
    if meta.len() > MAX_FILE {
        return Err(FileError::Large { path: path.to_owned() });
    }
    let mut text = String::new();
    file.take(MAX_FILE).read_to_string(&mut text).map_err(io)?;
    Ok(text)
}

/// Reads a cluster secret from a file that only its owner can read (checked on Unix), without the white space around it.
///
/// # Errors
/// [`FileError`] says what to do.
pub fn read_secret_file(path: impl AsRef<Path>) -> Result<String, FileError> {
    Ok(read(path.as_ref(), true)?.trim().to_owned())
}

/// A new cluster secret: 256 random bits as 64 hexadecimal digits.
///
/// # Panics
/// When the operating system gives no randomness.
#[must_use]
pub fn generate_secret() -> String {
    let mut bytes = [0; 32];
    random(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Fills `bytes` from the operating system.
pub(crate) fn random(bytes: &mut [u8]) {
    default_provider().secure_random.fill(bytes).expect("randomness of the operating system");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_long_and_differ() {
        let (one, two) = (generate_secret(), generate_secret());
        assert_eq!(one.len(), 64);
        assert_ne!(one, two);
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_that_others_can_read_is_refused_with_the_remedy() {
        use std::os::unix::fs::PermissionsExt as _;
        let path = std::env::temp_dir().join(format!("horde-secret-{}", std::process::id()));
        std::fs::write(&path, "a secret\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let refused = read_secret_file(&path).unwrap_err().to_string();
        assert!(refused.contains("mode 640") && refused.contains("chmod 600"), "{refused}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read_secret_file(&path).unwrap(), "a secret");
        std::fs::remove_file(&path).unwrap();
    }
}
