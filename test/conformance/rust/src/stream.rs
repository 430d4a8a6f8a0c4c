//! The stream, as one task that sends and reads.
//!
//! That can't deadlock: the server reads on while it writes, and what this client sends without
//! waiting for an answer fits into the window, so that it is queued here at the worst. Dropping a
//! stream ends the call at once.

use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, timeout_at};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Endpoint;
use tonic::{Request, Status, Streaming};

use crate::error::{Error, Result};
use crate::proto::exchange_request::Message;
use crate::proto::sync_service_client::SyncServiceClient;
use crate::proto::{ErrorReason, ExchangeRequest, ExchangeResponse};

/// How long the server may keep this client waiting.
const STEP_TIMEOUT: Duration = Duration::from_secs(60);
/// 64 KiB, the default, would let 64 KiB through in a round trip.
const HTTP_WINDOW_BYTES: u32 = 8 << 20;

pub struct Stream {
    server: String,
    deadline: Option<Instant>,
    /// `None`: half-closed.
    requests: Option<UnboundedSender<ExchangeRequest>>,
    /// What was sent before the call began.
    queue: Option<UnboundedReceiver<ExchangeRequest>>,
    responses: Option<Streaming<ExchangeResponse>>,
}

impl Stream {
    /// A stream to host:port that begins with what is sent before it is read for the first time.
    pub fn new(server: &str, timeout: Option<Duration>) -> Self {
        let (requests, queue) = unbounded_channel();
        Stream {
            server: server.to_owned(),
            deadline: timeout.map(|timeout| Instant::now() + timeout),
            requests: Some(requests),
            queue: Some(queue),
            responses: None,
        }
    }

    pub fn send(&self, message: Message) {
        if let Some(requests) = &self.requests {
            // Where the call has ended nobody takes it any more; why it has, the reader is told.
            let _ = requests.send(ExchangeRequest { message: Some(message) });
        }
    }

    /// What comes next; `None` at the end of the stream.
    pub async fn next(&mut self) -> Result<Option<ExchangeResponse>> {
        let step = Instant::now() + STEP_TIMEOUT;
        let until = self.deadline.map_or(step, |deadline| deadline.min(step));
        match timeout_at(until, self.read()).await {
            Ok(came) if came.is_ok() || Instant::now() < until => came,
            // However a call ends whose time is up: that is why.
            _ if until < step => {
                Err(Status::deadline_exceeded("the exchange took too long").into())
            }
            _ => Err(Error::new(ErrorReason::Stalled, "the server does not go on")),
        }
    }

    /// Half-closes, and waits for the server's end of the stream.
    pub async fn finish(mut self) -> Result<()> {
        self.requests = None;
        while self.next().await?.is_some() {}
        Ok(())
    }

    async fn read(&mut self) -> Result<Option<ExchangeResponse>> {
        if let Some(queue) = self.queue.take() {
            self.responses = Some(self.call(queue).await?);
        }
        match &mut self.responses {
            Some(responses) => Ok(responses.message().await?),
            None => Ok(None),
        }
    }

    async fn call(
        &self,
        queue: UnboundedReceiver<ExchangeRequest>,
    ) -> Result<Streaming<ExchangeResponse>> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.server))?
            .initial_stream_window_size(HTTP_WINDOW_BYTES)
            .initial_connection_window_size(HTTP_WINDOW_BYTES);
        let mut request = Request::new(UnboundedReceiverStream::new(queue));
        if let Some(deadline) = self.deadline {
            request.set_timeout(deadline.saturating_duration_since(Instant::now()));
        }
        let mut client = SyncServiceClient::new(endpoint.connect().await?);
        Ok(client.exchange(request).await?.into_inner())
    }
}
