//! One call as a state machine over SIP and media.
