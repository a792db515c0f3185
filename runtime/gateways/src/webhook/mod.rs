//! Webhooks: what happened is posted, as signed JSON, to an address of the tenant's own.
//!
//! [`Endpoint`] posts one letter, [`sign`](mod@sign) is how it is signed and checked, [`Line`] says which letter goes when.
//! Who writes the letters and keeps them is no matter of this module.

mod endpoint;
mod line;
pub mod sign;

pub use endpoint::{Courier, Endpoint, EndpointFault, EndpointSettings, Letter, NotTaken, PATIENCE};
pub use line::{
    AT_ONCE, Back, Line, PATIENCE_OF_A_LETTER, PATIENCE_OF_AN_UNTRIED, RETRIES, ROOM, Turn, Verdict, again,
};
