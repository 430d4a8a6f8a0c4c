//! Errors, as a caller can tell them by: the server's, and what this side refuses by itself.

use std::fmt;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::proto::ErrorReason;

#[derive(Debug)]
pub enum Error {
    /// What this side refuses, or finds out, by itself.
    Client { reason: ErrorReason, message: String },
    /// The status of a call, or of a connection that failed.
    Server(Box<Status>),
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn new(reason: ErrorReason, message: impl Into<String>) -> Self {
        Error::Client { reason, message: message.into() }
    }

    /// The server said what has no meaning at this point.
    pub fn out_of_order(message: impl Into<String>) -> Self {
        Self::new(ErrorReason::OutOfOrder, message)
    }

    /// What arrived is not what its fingerprint says.
    pub fn unverified(message: impl Into<String>) -> Self {
        Self::new(ErrorReason::Unverified, message)
    }

    /// The status code. Those of what this side finds by itself error.proto names with each reason.
    pub fn code(&self) -> Code {
        match self {
            Error::Server(status) => status.code(),
            Error::Client { reason, .. } => match reason {
                ErrorReason::Unverified => Code::DataLoss,
                ErrorReason::Unsupported => Code::Unimplemented,
                ErrorReason::Stalled => Code::DeadlineExceeded,
                ErrorReason::ItemHeld
                | ErrorReason::TokenOtherHistory
                | ErrorReason::TokenCompacted => Code::FailedPrecondition,
                _ => Code::InvalidArgument,
            },
        }
    }

    /// The reason without its prefix; empty where there is none.
    pub fn reason(&self) -> String {
        match self {
            Error::Client { reason, .. } => reason_name(*reason as i32),
            Error::Server(_) => {
                self.details().error_info().map_or(String::new(), |info| info.reason.clone())
            }
        }
    }

    /// What else came with a status; nothing where it has no details, or none that can be read.
    pub fn details(&self) -> ErrorDetails {
        match self {
            Error::Client { .. } => ErrorDetails::new(),
            Error::Server(status) => status.get_error_details(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Error::Client { message, .. } => message,
            Error::Server(status) => status.message(),
        })
    }
}

impl std::error::Error for Error {}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Error::Server(Box::new(status))
    }
}

impl From<tonic::transport::Error> for Error {
    fn from(error: tonic::transport::Error) -> Self {
        Status::from_error(error.into()).into()
    }
}

/// A reason of a message without its prefix; empty for none.
pub fn reason_name(reason: i32) -> String {
    match ErrorReason::try_from(reason) {
        Ok(ErrorReason::Unspecified) => String::new(),
        Ok(known) => known.as_str_name().trim_start_matches("ERROR_REASON_").to_owned(),
        Err(_) => reason.to_string(),
    }
}
