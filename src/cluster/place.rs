//! Which process of which cluster this is.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use super::ClusterError;

/// The most processes of a cluster: each is joined to each.
const PROCESSES_MAX: usize = 1024;

/// A process's place in a cluster.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its number, from 0.
    pub process: usize,
    /// Where each process listens.
    pub addresses: Vec<String>,
    /// What else the processes of this cluster know, and those of an earlier one do not; may be "".
    pub key: String,
}

/// Why a hostfile names no place.
#[derive(Debug, thiserror::Error)]
pub enum HostfileError {
    /// It cannot be read.
    #[error("cannot read hostfile {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// A line is no address.
    #[error("hostfile {path}, line {line}: {found:?} is no address such as 10.0.0.1:2101", path = path.display())]
    Address {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What stands there.
        found: String,
    },
    /// It has no line for the process, or too many.
    #[error("hostfile {path} has {lines} addresses, and this is process {process}, counted from 0", path = path.display())]
    Process {
        /// The file.
        path: PathBuf,
        /// How many addresses it has.
        lines: usize,
        /// The process asked for.
        process: usize,
    },
}

impl Place {
    /// The place of this process in the cluster of a hostfile: one address a line, that of process
    /// 0 first. Empty lines and those that begin with `#` count for nothing.
    ///
    /// # Errors
    /// [`HostfileError`] when the file cannot be read, or has no such place.
    pub fn in_hostfile(path: &Path, process: usize, key: String) -> Result<Self, HostfileError> {
        let read = |source| HostfileError::Read {
            path: path.to_owned(),
            source,
        };
        let text = fs::read_to_string(path).map_err(read)?;
        let mut addresses = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            if !is_address(text) {
                return Err(HostfileError::Address {
                    path: path.to_owned(),
                    line,
                    found: text.to_owned(),
                });
            }
            addresses.push(text.to_owned());
        }
        if process >= addresses.len() || addresses.len() > PROCESSES_MAX {
            return Err(HostfileError::Process {
                path: path.to_owned(),
                lines: addresses.len(),
                process,
            });
        }
        Ok(Place {
            process,
            addresses,
            key,
        })
    }

    /// Listens where the others expect this process.
    pub(super) fn listen(&self) -> Result<TcpListener, ClusterError> {
        let address = &self.addresses[self.process];
        let failed = |source| ClusterError::Listen {
            process: self.process,
            address: address.clone(),
            source,
        };
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(listener)
    }
}

fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    !host.is_empty()
        && !host.contains(char::is_whitespace)
        && port.parse::<u16>().is_ok_and(|it| it > 0)
}

/// So many addresses of this machine that nobody listened on a moment ago.
///
/// # Errors
/// When there are no more.
pub fn free_addresses(count: usize) -> io::Result<Vec<String>> {
    // All are held until the last is found, so no two are the same.
    let listeners: Vec<_> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<Result<_, _>>()?;
    let address = |listener: &TcpListener| Ok(listener.local_addr()?.to_string());
    listeners.iter().map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, process: usize) -> Result<Place, HostfileError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hosts");
        fs::write(&path, text).unwrap();
        Place::in_hostfile(&path, process, String::new())
    }

    #[test]
    fn a_hostfile_has_an_address_a_line() {
        let place = place("# ours\n10.0.0.1:2101\n\n [::1]:2102 \n", 1).unwrap();
        assert_eq!(place.addresses, ["10.0.0.1:2101", "[::1]:2102"]);
    }

    #[test]
    fn a_hostfile_without_the_place_is_refused() {
        for text in ["a", "a:0", ":5", "a b:5", "a:5 b:6", "a:70000"] {
            let error = place(text, 0).unwrap_err();
            assert!(
                matches!(error, HostfileError::Address { line: 1, .. }),
                "{error}"
            );
        }
        let error = place("a:1\nb:1", 2).unwrap_err().to_string();
        assert!(
            error.contains("has 2 addresses, and this is process 2"),
            "{error}"
        );
    }

    #[test]
    fn free_addresses_are_distinct_and_local() {
        let mut addresses = free_addresses(5).unwrap();
        assert!(addresses.iter().all(|it| it.starts_with("127.0.0.1:")));
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), 5);
    }
}
