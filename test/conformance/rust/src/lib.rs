//! A small client of Tercet: a replica in memory, and the whole exchange but live. Begin reading
//! with [`exchange`].
//!
//! ```no_run
//! use tercet_client::error::Result;
//! use tercet_client::exchange::sync;
//! use tercet_client::item::{Content, Version};
//! use tercet_client::replica::Replica;
//! use tercet_client::session::{SyncOptions, system_now_us};
//! use tercet_client::shared::Shared;
//!
//! # async fn example() -> Result<()> {
//! let replica = Shared::new(Replica::new("things")?);
//! let version = Version::new("zrh", Content::Text("Zürich".into()));
//! replica.lock().await.write("zrh", Some(version), system_now_us())?;
//! let options = SyncOptions { create: true, ..SyncOptions::new("localhost:50051") };
//! let report = sync(&replica, &options).await?;
//! assert!(report.verified);
//! # Ok(())
//! # }
//! ```

pub mod change_info;
pub mod compare;
pub mod error;
pub mod exchange;
pub mod fingerprint;
pub mod item;
mod messages;
mod receive_content;
mod recover;
pub mod replica;
mod send_content;
pub mod session;
mod settle;
pub mod shared;
mod stream;

/// What `build.rs` generates from the contract.
#[allow(clippy::all)]
pub mod proto {
    tonic::include_proto!("tercet.v1");
}
