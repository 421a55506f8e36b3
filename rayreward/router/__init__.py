"""The router's core, without Ray: configuration, batching, failure policy."""
