//! From keyword arguments to a typed request and back to the `Reply` envelope. No I/O.

use std::{
    any::Any,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Arc, OnceLock},
};

use ecep_proto::api::{
    Procedure,
    error::{ApiError, ErrorKind, without_values},
    reply::{CALLER_KEY, Caller, Reply},
};
use futures_util::FutureExt;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// What the router hands over for an INVOCATION.
pub(crate) struct Invocation {
    pub(crate) positional: Vec<Value>,
    pub(crate) keyword: Map<String, Value>,
}

type ReplyFuture = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// A registered procedure, its types erased.
pub(crate) type Handler = Arc<dyn Fn(Invocation) -> ReplyFuture + Send + Sync>;

/// Wraps a typed function: checks the arguments, calls it, folds its answer. A panic in it is answered too,
/// so that no caller waits for ever.
pub(crate) fn handler<P, F, Fut>(function: F) -> Handler
where
    P: Procedure,
    F: Fn(Caller, P::Request) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<P::Reply, ApiError>> + Send + 'static,
{
    let function = Arc::new(function);
    Arc::new(move |invocation| {
        let function = Arc::clone(&function);
        Box::pin(async move {
            let (caller, request) = match unfold::<P::Request>(invocation) {
                Ok(parts) => parts,
                Err(error) => return Reply::Error(error),
            };
            let outcome =
                AssertUnwindSafe(async move { function(caller, request).await }).catch_unwind().await;
            match outcome {
                Ok(Ok(reply)) => match serde_json::to_value(reply) {
                    Ok(value) => Reply::Ok(value),
                    Err(error) => Reply::Error(internal(&error.to_string())),
                },
                Ok(Err(error)) => Reply::Error(error),
                Err(panic) => {
                    let what = panic_text(&*panic);
                    tracing::error!(uri = P::URI, %what, "a procedure panicked");
                    Reply::Error(internal(&what))
                }
            }
        })
    })
}

/// A call that has been served, for whoever keeps account.
#[derive(Debug, Clone)]
pub struct Served {
    /// The procedure's URI as the catalogue has it.
    pub uri: &'static str,
    /// Who called.
    pub caller: Caller,
    /// The keyword arguments, as they came.
    pub request: Map<String, Value>,
    /// The answer.
    pub reply: Reply,
}

/// Whoever keeps account; a caller is answered once that is done.
pub(crate) type Witness = Arc<dyn Fn(Served) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Has a witness told of each call before it is answered, whatever came of it. Without one nothing is copied.
pub(crate) fn witnessed(uri: &'static str, handler: Handler, witness: Arc<OnceLock<Witness>>) -> Handler {
    Arc::new(move |invocation| {
        let (handler, witness) = (Arc::clone(&handler), Arc::clone(&witness));
        Box::pin(async move {
            let Some(witness) = witness.get() else { return handler(invocation).await };
            let mut request = invocation.keyword.clone();
            let caller = request.remove(CALLER_KEY).and_then(|caller| serde_json::from_value(caller).ok());
            let reply = handler(invocation).await;
            if let Some(caller) = caller {
                witness(Served { uri, caller, request, reply: reply.clone() }).await;
            }
            reply
        })
    })
}

fn unfold<R: DeserializeOwned>(invocation: Invocation) -> Result<(Caller, R), ApiError> {
    let Invocation { positional, mut keyword } = invocation;
    let caller = keyword
        .remove(CALLER_KEY)
        .and_then(|caller| serde_json::from_value(caller).ok())
        .ok_or_else(|| internal("the router does not say who called"))?;
    if !positional.is_empty() {
        return Err(ApiError::new(
            ErrorKind::InvalidArgument,
            "this procedure takes keyword arguments only; send the fields of the request as kwargs",
        ));
    }
    // Its errors begin with the path of the field that they are about.
    let request = serde_path_to_error::deserialize(Value::Object(keyword)).map_err(|error| {
        ApiError::new(
            ErrorKind::InvalidArgument,
            format!(
                "the arguments are not as this procedure takes them: {}",
                without_values(&error.to_string())
            ),
        )
    })?;
    Ok((caller, request))
}

fn internal(what: &str) -> ApiError {
    ApiError::new(ErrorKind::Unavailable, format!("this is a defect in the callee, please report it: {what}"))
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic without a text".to_owned())
}

/// The one positional argument of a RESULT, as the reply's type.
pub(crate) fn result<R: DeserializeOwned>(positional: Option<Vec<Value>>) -> Result<R, serde_json::Error> {
    let value = positional.and_then(|mut arguments| (!arguments.is_empty()).then(|| arguments.remove(0)));
    serde_json::from_value(value.unwrap_or(Value::Null))
}

/// A request or an event as keyword arguments.
pub(crate) fn keywords<T: Serialize>(value: &T) -> Result<Map<String, Value>, serde_json::Error> {
    match serde_json::to_value(value)? {
        Value::Object(map) => Ok(map),
        other => Err(serde::ser::Error::custom(format!(
            "a request or an event must be a map of fields, not {other}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use ecep_proto::api::{ContainerInspect, container::ContainerDetail, container::ContainerRef};
    use serde_json::json;

    use super::*;

    async fn answer(keyword: Value, positional: Vec<Value>) -> Reply {
        let handler = handler::<ContainerInspect, _, _>(|caller: Caller, request: ContainerRef| async move {
            assert!(caller.authid != "panic", "asked to");
            let message = format!("{} asked for {}", caller.authid, request.container);
            Err::<ContainerDetail, _>(ApiError::new(ErrorKind::NotFound, message))
        });
        let Value::Object(keyword) = keyword else { panic!("the test passes maps") };
        handler(Invocation { positional, keyword }).await
    }

    fn caller(authid: &str) -> Value {
        json!({"session": 7, "authid": authid, "authrole": "viewer"})
    }

    fn error_of(reply: Reply) -> ApiError {
        match reply {
            Reply::Error(error) => error,
            Reply::Ok(value) => panic!("expected an error, got {value}"),
        }
    }

    /// The function must get the caller and the typed request, and its error must reach the caller.
    #[tokio::test]
    async fn the_caller_and_the_request_reach_the_function() {
        let error = error_of(answer(json!({"_caller": caller("ann"), "container": "c1"}), vec![]).await);
        assert_eq!((error.uri, error.message.as_str()), (ErrorKind::NotFound, "ann asked for c1"));
    }

    /// Malformed payloads are refused with the reason; none may reach the function.
    #[tokio::test]
    async fn malformed_arguments_are_refused_with_the_reason() {
        for (keyword, positional, expected) in [
            (json!({"_caller": caller("ann")}), vec![], "missing field `container`"),
            (json!({"_caller": caller("ann"), "container": 5}), vec![], "invalid type"),
            (
                json!({"_caller": caller("ann"), "container": "c1", "extra": 1}),
                vec![],
                "unknown field `extra`",
            ),
            (json!({"_caller": caller("ann"), "container": "../x"}), vec![], "'.' at place 1"),
            (json!({"_caller": caller("ann"), "container": "c1"}), vec![json!(1)], "keyword arguments only"),
        ] {
            let error = error_of(answer(keyword, positional).await);
            assert_eq!(error.uri, ErrorKind::InvalidArgument);
            assert!(error.message.contains(expected), "{error:?} should mention {expected}");
        }
    }

    /// Without the profile nobody knows who called: then nothing may be done.
    #[tokio::test]
    async fn an_invocation_without_a_caller_is_refused() {
        assert_eq!(error_of(answer(json!({"container": "c1"}), vec![]).await).uri, ErrorKind::Unavailable);
    }

    /// A refused call is told as well as one that was served, with who called, and before the answer.
    #[tokio::test]
    async fn a_witness_is_told_of_every_call() {
        let plain = handler::<ContainerInspect, _, _>(|_: Caller, _: ContainerRef| async {
            Err::<ContainerDetail, _>(ApiError::new(ErrorKind::NotFound, "not here"))
        });
        let told: Arc<Mutex<Vec<Served>>> = Arc::default();
        let witness = Arc::new(OnceLock::new());
        let handler = witnessed(ContainerInspect::URI, plain, Arc::clone(&witness));
        let invocation = |keyword: Value| {
            let Value::Object(keyword) = keyword else { panic!("the test passes maps") };
            Invocation { positional: vec![], keyword }
        };
        handler(invocation(json!({"_caller": caller("ann"), "container": "c1"}))).await;
        let noted = Arc::clone(&told);
        let tell: Witness = Arc::new(move |served| {
            let noted = Arc::clone(&noted);
            Box::pin(async move { noted.lock().unwrap().push(served) })
        });
        let _ = witness.set(tell);
        handler(invocation(json!({"_caller": caller("ann"), "container": "c1"}))).await;
        handler(invocation(json!({"_caller": caller("bob"), "container": 5}))).await;
        let told = told.lock().unwrap();
        let kinds: Vec<_> = told.iter().map(|one| (one.caller.authid.as_str(), &one.reply)).collect();
        let Reply::Error(first) = kinds[0].1 else { panic!("{kinds:?}") };
        let Reply::Error(second) = kinds[1].1 else { panic!("{kinds:?}") };
        assert_eq!((kinds.len(), kinds[0].0, first.uri), (2, "ann", ErrorKind::NotFound));
        assert_eq!((kinds[1].0, second.uri), ("bob", ErrorKind::InvalidArgument));
        assert!(!told[0].request.contains_key(CALLER_KEY));
    }

    /// A defect in one procedure must not leave its caller waiting.
    #[tokio::test]
    async fn a_panic_is_answered() {
        let error = error_of(answer(json!({"_caller": caller("panic"), "container": "c1"}), vec![]).await);
        assert!(error.message.contains("asked to"), "{error:?}");
    }
}
