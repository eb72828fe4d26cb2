//! Processes on tokio: typed messages, links, monitors, exit reasons, local supervision.
