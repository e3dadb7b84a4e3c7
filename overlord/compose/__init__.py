"""Make the secrets of the containers of docker-compose.yml."""
