//! Real OS processes over loopback QUIC.
