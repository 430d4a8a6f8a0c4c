//! A replica that the application goes on using while an exchange runs.

use std::ops::{Deref, DerefMut};

use tokio::sync::{Mutex, MutexGuard};

use crate::replica::Replica;

/// A replica for the application and its exchanges.
#[derive(Debug)]
pub struct Shared {
    replica: Mutex<Replica>,
    /// Held by an exchange from its beginning to its end: there is one at a time.
    exchange: Mutex<()>,
}

impl Shared {
    pub fn new(replica: Replica) -> Self {
        Shared { replica: Mutex::new(replica), exchange: Mutex::new(()) }
    }

    /// The replica, while nobody else uses it.
    pub async fn lock(&self) -> MutexGuard<'_, Replica> {
        self.replica.lock().await
    }

    /// The replica for an exchange, once no other one runs.
    pub(crate) async fn begin_exchange(&self) -> Hold<'_> {
        let exchange = self.exchange.lock().await;
        Hold {
            replica: Some(self.replica.lock().await),
            shared: &self.replica,
            _exchange: exchange,
        }
    }
}

/// An exchange's hold on the replica. It is left to others while the server is waited for, and only
/// then: between two such times nobody else changes anything.
pub(crate) struct Hold<'a> {
    /// `None`: left to others.
    replica: Option<MutexGuard<'a, Replica>>,
    shared: &'a Mutex<Replica>,
    _exchange: MutexGuard<'a, ()>,
}

impl Hold<'_> {
    /// Leaves the replica to others until something has come.
    pub async fn leave_for<T>(&mut self, coming: impl Future<Output = T>) -> T {
        self.replica = None;
        let came = coming.await;
        self.replica = Some(self.shared.lock().await);
        came
    }
}

impl Deref for Hold<'_> {
    type Target = Replica;

    fn deref(&self) -> &Replica {
        self.replica.as_ref().expect("nothing but leave_for leaves it")
    }
}

impl DerefMut for Hold<'_> {
    fn deref_mut(&mut self) -> &mut Replica {
        self.replica.as_mut().expect("nothing but leave_for leaves it")
    }
}
