//! What the application does with a replica, where the conformance kit can't see it.

use tercet_client::error::Result;
use tercet_client::exchange::sync;
use tercet_client::item::{Content, State, Version};
use tercet_client::replica::{Replica, Resolution};
use tercet_client::session::SyncOptions;
use tercet_client::shared::Shared;

/// Held for its group's sake, it has been changed back into what the server has.
#[test]
fn a_held_item_gives_way_to_a_base_whose_content_was_never_told() -> Result<()> {
    let mut replica = Replica::new("things")?;
    let version = Version::new("a", Content::Text("1".into()));
    replica.write("a", Some(version.clone()), 1)?;
    let fingerprint = Some(version.fingerprint);
    let base = State { fingerprint, ..State::absent("a", 1) };
    replica.move_base(replica.entry("a"), Some(base));
    replica.change_pending("a", |pending| pending.held = true);

    replica.resolve("a", Resolution::Theirs, 2)?;

    let entry = replica.entry("a");
    assert_eq!(entry.mine, Some(version));
    assert!(entry.pending.is_none());
    assert_eq!(replica.conflicts.len(), 0);
    Ok(())
}

/// An exchange may go from thread to thread: a runtime with several may spawn it.
#[test]
fn an_exchange_is_sendable() -> Result<()> {
    fn is_send<T: Send>(_: &T) {}
    let replica = Shared::new(Replica::new("things")?);
    is_send(&sync(&replica, &SyncOptions::new("localhost:50051")));
    Ok(())
}
