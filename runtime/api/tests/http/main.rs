//! The HTTP interface over a real socket, real components and a store in memory.

mod desk;
mod document;
mod host;
mod lifecycle;
mod operators;
mod records;
mod refusals;
mod sms;
mod webhooks;
