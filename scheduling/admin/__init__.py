from scheduling.admin.messages import MessageWithScheduleAdmin
from scheduling.admin.schedules import ScheduleAdmin

__all__ = ["MessageWithScheduleAdmin", "ScheduleAdmin"]
