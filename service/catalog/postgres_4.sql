-- The rows that came before the trigger.
INSERT INTO audit_totals (user_id, part, total)
SELECT user_id, -1, count(*) FROM audit_log WHERE user_id IS NOT NULL GROUP BY user_id;
