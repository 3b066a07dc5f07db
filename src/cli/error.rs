//! What can end a command, how it is told, and its exit code.

use std::process::ExitCode;

use serde::Deserialize;

#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error(
        "cannot reach the service at {url}: {reason}\nIs it running? `drydock up` or `drydock serve` starts it; --server or DRYDOCK_SERVER say where it is."
    )]
    Unreachable { url: String, reason: String },
    #[error("{}", .0.tell())]
    Problem(Problem),
    #[error("{target}: {message}")]
    OperationFailed { target: String, message: String },
    #[error("{target}: not done in time; it goes on. Last: {last}\n`drydock operation wait {id}` waits on.")]
    TimedOut { target: String, last: String, id: String },
    #[error("interrupted")]
    Interrupted,
    #[error("{0}")]
    Usage(String),
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

/// A problem document (RFC 9457) of the service.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Problem {
    pub status: u16,
    pub code: String,
    pub detail: String,
    pub errors: Vec<FieldProblem>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct FieldProblem {
    pub field: String,
    pub message: String,
}

impl Problem {
    fn tell(&self) -> String {
        if self.errors.is_empty() {
            return self.detail.clone();
        }
        let mut text = "the request is invalid".to_owned();
        for error in &self.errors {
            text.push_str(&format!("\n  {}: {}", error.field, error.message));
        }
        text
    }
}

impl CliError {
    /// Tells the user, and answers the exit code that `--help` lists.
    pub(super) fn report(&self) -> ExitCode {
        eprintln!("error: {self}");
        ExitCode::from(self.code())
    }

    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Other(_) => 1,
            Self::Usage(_) => 2,
            Self::Problem(problem) => match problem.status {
                404 => 3,
                400 | 413 | 415 | 422 => 4,
                409 | 412 => 5,
                _ => 1,
            },
            Self::Unreachable { .. } => 6,
            Self::OperationFailed { .. } => 7,
            Self::TimedOut { .. } => 8,
            Self::Interrupted => 130,
        }
    }
}
