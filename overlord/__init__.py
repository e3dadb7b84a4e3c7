"""The project: settings, routes and server programs, and the apps that are not about tickets or payments."""
