//! `shallop login` and `shallop logout`: credentials for registries.

use std::io::{BufRead, IsTerminal, Read, Write};

use anyhow::{Context, Result, bail, ensure};
use shallop_engine::login::{self, Kept, server_address};
use shallop_engine::terminal::RawTerminal;

use crate::output::say;

/// Bytes of a password on stdin.
const PASSWORD_MAX: u64 = 64 << 10;

/// Log in to a registry
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without SERVER it is Docker Hub. Credentials are kept as Docker keeps them: in ~/.docker/config.json, or in the
credential helper that it names.

Examples:
  shallop login localhost:5000
  shallop login -u ann --password-stdin registry.example < password"
)]
pub struct Args {
    #[arg(short, long, value_name = "NAME")]
    username: Option<String>,
    /// The password, or a token of the registry
    #[arg(short, long, value_name = "PASSWORD")]
    password: Option<String>,
    /// Take the password from stdin
    #[arg(long)]
    password_stdin: bool,
    #[arg(value_name = "SERVER")]
    server: Option<String>,
}

impl Args {
    pub fn run(self) -> Result<u8> {
        let server = server_address(self.server.as_deref());
        let (user, password) = self.ask(&server)?;
        match login::login(&server, &user, &password)? {
            Kept::InFile(path) => eprintln!(
                "WARNING! Your credentials are stored unencrypted in '{}'.\nConfigure a credential helper to remove this warning.",
                path.display()
            ),
            Kept::InHelper(_) => {}
        }
        say!("Login Succeeded");
        Ok(0)
    }

    fn ask(&self, server: &str) -> Result<(String, String)> {
        ensure!(
            !(self.password.is_some() && self.password_stdin),
            "--password and --password-stdin are mutually exclusive"
        );
        if self.password.is_some() {
            eprintln!("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
        }
        if self.password_stdin {
            let user = self.username.clone().context("Must provide --username with --password-stdin")?;
            return Ok((user, from_stdin()?));
        }
        if let (Some(user), Some(password)) = (&self.username, &self.password) {
            return Ok((user.clone(), password.clone()));
        }
        ensure!(std::io::stdin().is_terminal(), "Cannot perform an interactive login from a non TTY device");
        eprintln!("Logging in to {server}");
        let user = match &self.username {
            Some(user) => user.clone(),
            None => prompt("Username: ")?,
        };
        ensure!(!user.is_empty(), "Username is required");
        let password = match &self.password {
            Some(password) => password.clone(),
            None => {
                let silent = RawTerminal::without_echo()?;
                let password = prompt("Password: ");
                drop(silent);
                eprintln!();
                password?
            }
        };
        ensure!(!password.is_empty(), "Password is required");
        Ok((user, password))
    }
}

/// A line from the terminal.
fn prompt(text: &str) -> Result<String> {
    eprint!("{text}");
    std::io::stderr().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().take(PASSWORD_MAX).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// All of stdin, without the end of its last line.
fn from_stdin() -> Result<String> {
    let mut password = String::new();
    std::io::stdin()
        .lock()
        .take(PASSWORD_MAX)
        .read_to_string(&mut password)
        .context("reading the password from stdin")?;
    let password = password.strip_suffix('\n').unwrap_or(&password);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() {
        bail!("password is empty");
    }
    Ok(password.to_owned())
}

/// Log out from a registry
#[derive(Debug, clap::Args)]
pub struct Out {
    #[arg(value_name = "SERVER")]
    server: Option<String>,
}

impl Out {
    pub fn run(self) -> Result<u8> {
        let server = server_address(self.server.as_deref());
        match login::logout(&server)? {
            true => say!("Removing login credentials for {server}"),
            false => say!("Not logged in to {server}"),
        }
        Ok(0)
    }
}
