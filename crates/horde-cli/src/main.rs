//! The `horde` command: a demo cluster on this machine, one node of a cluster, looking into a running cluster and steering
//! it, secrets, certificates.

mod args;
mod ca;
mod client;
mod demo;
mod identity;
mod node;
mod secret;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command, SecretCommand};

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.command {
        Command::Demo(options) => demo::run(&options),
        Command::DemoMember { parent } => demo::member(parent),
        Command::Node(options) => node::run(&options),
        Command::Ca { command } => ca::run(&command),
        Command::Client(command) => client::run(&command),
        Command::Secret { command: SecretCommand::New } => secret::new(),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "a command says on standard error why it failed")]
fn complain(error: &anyhow::Error) {
    eprintln!("horde: {error:#}");
}
