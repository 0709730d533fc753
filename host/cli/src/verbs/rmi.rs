//! `shallop rmi`: remove images or their names.

use crate::output::say;
use anyhow::Result;
use shallop_engine::Session;

/// Remove one or more images
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  shallop rmi app:1.0
  shallop rmi -f $(shallop images -q app)")]
pub struct Args {
    /// Force removal of the image
    #[arg(short, long)]
    force: bool,
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

impl Args {
    pub fn run(self) -> Result<u8> {
        let session = Session::open()?;
        let mut code = 0;
        for name in &self.images {
            match session.store.remove_image(name, self.force) {
                Ok(removal) => {
                    removal.untagged.iter().for_each(|tag| say!("Untagged: {}", tag.familiar()));
                    removal.deleted.iter().for_each(|digest| say!("Deleted: {digest}"));
                }
                Err(error) if self.force && error.is_no_such_image() => {}
                Err(error) => {
                    eprintln!("shallop: {error}");
                    code = 1;
                }
            }
        }
        Ok(code)
    }
}
