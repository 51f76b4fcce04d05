from config.admin.audit import AuditAdmin
from config.admin.people import ConsoleGroupAdmin, ConsoleUserAdmin
from config.admin.periodic_tasks import ConsolePeriodicTaskAdmin

__all__ = ["AuditAdmin", "ConsoleGroupAdmin", "ConsolePeriodicTaskAdmin", "ConsoleUserAdmin"]
