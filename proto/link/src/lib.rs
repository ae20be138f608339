//! One supervised WAMP session over wamp_async.
