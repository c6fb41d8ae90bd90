"""How a person does the tasks in each tool."""
