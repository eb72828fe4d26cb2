//! Callbacks by their path: `cx.every(period, Self::flush)`.

use std::future::Future;
use std::pin::Pin;

use crate::{Context, Process};

/// An `async fn(&mut self, cx: &mut Context<Self>)` by its path. Implemented for all of them, and for async closures that
/// capture nothing.
#[diagnostic::on_unimplemented(
    message = "this is not an async method of `{P}`",
    label = "expected `async fn(&mut self, cx: &mut Context<Self>)` by its path, such as `Self::flush`",
    note = "it must be `async`, return nothing, be `Send`, and capture nothing: keep what it needs in `self`"
)]
pub trait Method<'a, P: Process>: Send + Sync + 'static {
    #[doc(hidden)]
    type Done: Future<Output = ()> + Send + 'a;
    #[doc(hidden)]
    fn run(&self, process: &'a mut P, cx: &'a mut Context<P>) -> Self::Done;
}

#[diagnostic::do_not_recommend]
impl<'a, P: Process, F, Done> Method<'a, P> for F
where
    F: Fn(&'a mut P, &'a mut Context<P>) -> Done + Send + Sync + 'static,
    Done: Future<Output = ()> + Send + 'a,
{
    type Done = Done;

    fn run(&self, process: &'a mut P, cx: &'a mut Context<P>) -> Done {
        self(process, cx)
    }
}

/// An `async fn(&mut self, value: T, cx: &mut Context<Self>)` by its path. Implemented for all of them.
#[diagnostic::on_unimplemented(
    message = "this is not an async method of `{P}` that takes a `{T}`",
    label = "expected `async fn(&mut self, value: {T}, cx: &mut Context<Self>)` by its path, such as `Self::fetched`",
    note = "it must be `async`, return nothing, be `Send`, and capture nothing: keep what it needs in `self`"
)]
pub trait MethodWith<'a, P: Process, T>: Send + Sync + 'static {
    #[doc(hidden)]
    type Done: Future<Output = ()> + Send + 'a;
    #[doc(hidden)]
    fn run(&self, process: &'a mut P, value: T, cx: &'a mut Context<P>) -> Self::Done;
}

#[diagnostic::do_not_recommend]
impl<'a, P: Process, T, F, Done> MethodWith<'a, P, T> for F
where
    F: Fn(&'a mut P, T, &'a mut Context<P>) -> Done + Send + Sync + 'static,
    Done: Future<Output = ()> + Send + 'a,
{
    type Done = Done;

    fn run(&self, process: &'a mut P, value: T, cx: &'a mut Context<P>) -> Done {
        self(process, value, cx)
    }
}

pub(crate) type Running<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// A callback whose type is forgotten, run once.
pub(crate) trait Once<P: Process>: Send {
    fn run<'a>(self: Box<Self>, process: &'a mut P, cx: &'a mut Context<P>) -> Running<'a>;
}

/// A callback whose type is forgotten, run any number of times.
pub(crate) trait Again<P: Process>: Send + Sync {
    fn run<'a>(&self, process: &'a mut P, cx: &'a mut Context<P>) -> Running<'a>;
}

/// A [`Method`] as a [`Once`] or an [`Again`].
pub(crate) struct Step<F>(pub(crate) F);

impl<P: Process, F: for<'a> Method<'a, P>> Once<P> for Step<F> {
    fn run<'a>(self: Box<Self>, process: &'a mut P, cx: &'a mut Context<P>) -> Running<'a> {
        Box::pin(self.0.run(process, cx))
    }
}

impl<P: Process, F: for<'a> Method<'a, P>> Again<P> for Step<F> {
    fn run<'a>(&self, process: &'a mut P, cx: &'a mut Context<P>) -> Running<'a> {
        Box::pin(self.0.run(process, cx))
    }
}

/// A [`MethodWith`] and the value it waits for, as a [`Once`].
pub(crate) struct StepWith<F, T>(pub(crate) F, pub(crate) T);

impl<P: Process, T: Send, F: for<'a> MethodWith<'a, P, T>> Once<P> for StepWith<F, T> {
    fn run<'a>(self: Box<Self>, process: &'a mut P, cx: &'a mut Context<P>) -> Running<'a> {
        Box::pin(self.0.run(process, self.1, cx))
    }
}
