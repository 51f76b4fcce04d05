from config.admin.audit import AuditAdmin
from config.admin.periodic_tasks import ConsolePeriodicTaskAdmin
from config.admin.users import ConsoleGroupAdmin, ConsoleUserAdmin

__all__ = ["AuditAdmin", "ConsoleGroupAdmin", "ConsolePeriodicTaskAdmin", "ConsoleUserAdmin"]
