.PHONY: setup
setup: ## make .venv with all that the project needs
	@tools/setup
