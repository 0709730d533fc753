//! What the kernel writes to the profile stream for `run --profile`: a [`Record`] as JSON on each line.

use serde::{Deserialize, Serialize};

/// One line of the profile stream. Frames and tasks are numbered from 0 in the order in which they come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// A function, or what stands for one.
    Frame {
        name: String,
        /// The file that it is in, as the container names it.
        file: Option<String>,
    },
    /// A thread under one of its names; another name (after execve) is another task.
    Task { pid: u32, tid: u32, name: String },
    /// Nanoseconds that a task spent.
    Sample {
        task: u32,
        nanoseconds: u64,
        /// Frames' numbers, callers first.
        stack: Vec<u32>,
    },
}

impl Record {
    /// Its line, with the newline.
    pub fn to_line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }

    /// Reads a line.
    ///
    /// # Errors
    /// When it is none of [`Record::to_line`]'s.
    pub fn from_line(line: &[u8]) -> Result<Record, String> {
        serde_json::from_slice(line).map_err(|error| format!("profile stream: {error}"))
    }
}
