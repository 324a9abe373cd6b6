"""The OpenAPI 3.1 description of what is mounted, made of tables that stand beside the routes' own bodies."""
