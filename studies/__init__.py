"""Studies that come with bamgate: questions as TOML files."""
