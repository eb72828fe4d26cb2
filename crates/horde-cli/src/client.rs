//! `horde status / members / children / names / plan / drain / forget`: looks into a running cluster, and steers it.

mod args;
mod print;

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::{Context as _, bail};
use horde::{ChildFilter, Client, ClientError, Role};

pub(crate) use args::ClientCommand;
use print::Printer;

use args::Connect;

/// Runs a command; true if all that it promises held.
pub(crate) fn run(command: &ClientCommand) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let connect = command.connect();
        let client = open(connect, command.needs()).await?;
        let done = perform(command, &client, &Printer { json: connect.json }).await;
        client.close().await;
        done
    })
}

async fn open(connect: &Connect, needs: Role) -> anyhow::Result<Client> {
    let address = resolve(&connect.connect)?;
    let proof = connect.credentials.proof()?;
    let mut builder = Client::builder(proof.identity).timeout(connect.timeout());
    let asked = connect.role.map(Role::from);
    match proof.certified {
        None => builder = builder.role(asked.unwrap_or(needs)),
        Some((name, Role::Node)) => bail!(
            "the certificate is that of the node {name}; a client needs one of its own, for role client or operator"
        ),
        Some((_, role)) if asked.is_some_and(|asked| asked != role) => {
            bail!("the certificate is for role {role:?}; a certificate's role is not chosen with --as")
        }
        Some((name, role)) => builder = builder.name(name).role(role),
    }
    Ok(builder.connect(address).await?)
}

/// The first address of `host:port`.
fn resolve(text: &str) -> anyhow::Result<SocketAddr> {
    let none = || format!("`{text}` is no address (one is like 127.0.0.1:7100)");
    text.to_socket_addrs().with_context(none)?.next().with_context(none)
}

async fn perform(command: &ClientCommand, client: &Client, out: &Printer) -> anyhow::Result<bool> {
    match command {
        ClientCommand::Status(_) => out.status(&client.status().await?)?,
        ClientCommand::Members(_) => out.members(&client.members().await?)?,
        ClientCommand::Children(args) => {
            let filter = ChildFilter { supervisor: args.supervisor.clone(), node: args.node.clone() };
            out.children(&client.children(&filter, args.limit.limit).await?)?;
        }
        ClientCommand::Names(args) => {
            out.names(&client.names(args.registry.as_deref(), args.limit.limit).await?)?;
        }
        ClientCommand::Plan(args) => {
            out.plan(&client.plan(args.supervisor.as_deref(), args.limit.limit).await?)?;
        }
        ClientCommand::Drain(args) => {
            let drained = explained(client.drain(&args.member, Duration::from_secs(args.within)).await)?;
            out.drained(&drained)?;
            return Ok(drained.unmoved == 0);
        }
        ClientCommand::Forget(args) => {
            let forgotten = explained(client.forget(&args.member).await)?;
            out.forgotten(&forgotten)?;
            return Ok(forgotten.missing.is_empty());
        }
    }
    Ok(true)
}

/// Says how to get a right that is missing.
fn explained<T>(outcome: Result<T, ClientError>) -> anyhow::Result<T> {
    outcome.map_err(|error| match error {
        ClientError::Denied(refusal @ horde::Refusal::Role { .. }) => {
            anyhow::anyhow!("{refusal} (with a secret: --as operator, or leave --as out; with a certificate: one issued for that role)")
        }
        other => other.into(),
    })
}
