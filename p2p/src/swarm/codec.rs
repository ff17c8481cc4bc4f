//! Messages on a stream: one value to the end of the stream, never more bytes than the protocol allows.

use std::{io, marker::PhantomData};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{StreamProtocol, request_response};
use serde::{Serialize, de::DeserializeOwned};

use crate::record::codec;

/// What can be sent.
pub(crate) trait Message: Serialize + DeserializeOwned + Send + Sync {}

impl<T: Serialize + DeserializeOwned + Send + Sync> Message for T {}

/// What was read.
///
/// libp2p's request-response swallows errors of reading a request, but whoever sends nonsense must be noticed; so a
/// broken message is read as a value, and only a broken stream is an error.
#[derive(Debug)]
pub(crate) enum Frame<T> {
    /// A message.
    Message(T),
    /// Too long, or no message at all. Says which.
    Broken(String),
}

/// Bincode messages of two types with a cap on each.
#[derive(Debug)]
pub(crate) struct Codec<Request, Response> {
    request_limit: usize,
    response_limit: usize,
    messages: PhantomData<fn() -> (Request, Response)>,
}

impl<Request, Response> Codec<Request, Response> {
    pub(crate) const fn new(request_limit: usize, response_limit: usize) -> Self {
        Self { request_limit, response_limit, messages: PhantomData }
    }
}

impl<Request, Response> Clone for Codec<Request, Response> {
    fn clone(&self) -> Self {
        Self::new(self.request_limit, self.response_limit)
    }
}

/// Reads to the end of the stream, at most `limit` bytes; one byte more is the sender's fault, and so is nonsense.
async fn read<T: Message>(io: &mut (impl AsyncRead + Unpin + Send), limit: usize) -> io::Result<Frame<T>> {
    let mut bytes = Vec::new();
    // One more than allowed, so that "too long" and "just long enough" can be told apart.
    io.take(limit as u64 + 1).read_to_end(&mut bytes).await?;
    if bytes.len() > limit {
        return Ok(Frame::Broken(format!("a message of more than {limit} bytes")));
    }
    match codec::decode(&bytes, limit) {
        Ok(message) => Ok(Frame::Message(message)),
        // Closed without a word: the other side declines to answer, which is its right.
        Err(_) if bytes.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
        Err(error) => Ok(Frame::Broken(error.to_string())),
    }
}

async fn write<T: Message>(
    io: &mut (impl AsyncWrite + Unpin + Send),
    frame: &Frame<T>,
    limit: usize,
) -> io::Result<()> {
    let invalid = |error: String| io::Error::new(io::ErrorKind::InvalidInput, error);
    let bytes = match frame {
        Frame::Message(message) => {
            codec::encode(message, limit).map_err(|error| invalid(error.to_string()))?
        }
        Frame::Broken(why) => return Err(invalid(why.clone())),
    };
    io.write_all(&bytes).await?;
    io.close().await
}

impl<Request, Response> request_response::Codec for Codec<Request, Response>
where
    Request: Message,
    Response: Message,
{
    type Protocol = StreamProtocol;
    type Request = Frame<Request>;
    type Response = Frame<Response>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Frame<Request>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io, self.request_limit).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Frame<Response>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io, self.response_limit).await
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        request: Frame<Request>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &request, self.request_limit).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        response: Frame<Response>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &response, self.response_limit).await
    }
}
