//! Helpers of the end-to-end tests: peers (SIPp, baresip), temporary hosts, audio measured in numbers.
