//! A small client of Tercet: a replica in memory, and the whole exchange but live. Begin reading
//! with [`exchange`].

pub mod change_info;
pub mod compare;
pub mod error;
pub mod exchange;
pub mod fingerprint;
mod messages;
mod receive_content;
mod recover;
pub mod replica;
mod send_content;
pub mod session;
mod settle;
mod stream;

/// What `build.rs` generates from the contract.
#[allow(clippy::all)]
pub mod proto {
    tonic::include_proto!("tercet.v1");
}
