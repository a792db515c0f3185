//! Our INVITE as it left: what its CANCEL, its ACKs and its dialogs have to repeat.
//!
//! Kept beside the bytes rather than read from them: an INVITE may echo a challenge of the far end, so what we print is
//! not always what we would accept.

use crate::{
    dialog::{Caller, Dialog},
    message::{Message, Method, Name, Writer},
};

#[derive(Debug)]
pub(super) struct SentInvite {
    pub uri: String,
    pub via: String,
    /// With our tag.
    pub from: String,
    /// Without a tag.
    pub to: String,
    pub call_id: String,
    pub cseq: u32,
    pub routes: Vec<String>,
    /// The answers to challenges.
    pub credentials: Vec<(Name, String)>,
    /// What follows goes the same way, wherever the far end says that it is.
    pub keeps_flow: bool,
}

impl SentInvite {
    /// The dialog that a response with a tag makes: 101–299.
    pub(super) fn dialog(&self, response: &Message) -> Dialog {
        let Self { uri, from, call_id, cseq, .. } = self;
        let mut dialog = Dialog::from_response(Caller { call_id, from, uri, cseq: *cseq }, response);
        if self.keeps_flow {
            dialog.keep_to_flow();
        }
        dialog
    }

    /// A request with the request URI, the `Via`, the routes and the ends of the INVITE: its CANCEL, or the ACK to a
    /// refusal.
    pub(super) fn like(&self, method: &Method, to: &str) -> Writer {
        let mut writer = Writer::request(method.text(), &self.uri);
        writer.header(Name::Via, &self.via).header(Name::MaxForwards, 70);
        for route in &self.routes {
            writer.header(Name::Route, route);
        }
        writer
            .header(Name::From, &self.from)
            .header(Name::To, to)
            .header(Name::CallId, &self.call_id)
            .header(Name::CSeq, format_args!("{} {method}", self.cseq));
        writer
    }
}
