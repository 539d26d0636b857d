"""What differs between jobs and nothing else: head, loss, encoding of the truth, decoding of the outputs, scores."""

from convscope.tasks.rules import TASKS, TaskRules, task_rules

__all__ = ["TASKS", "TaskRules", "task_rules"]
