-- What answers cost is counted over all users, by a role that reads figures and no content. Row security lets no row
-- through that no policy names, so it has a policy of its own: for reading alone, on this table alone. The grant that
-- goes with it is the stack's.
--
-- The role futureguide_analytics must stand before: a stack makes it.
--
-- Locks: chat.usage_tracking against everything (ACCESS EXCLUSIVE) while the policy is made, which is a moment.

-- migrate:up

-- A policy has no IF NOT EXISTS: drop and make again, in one transaction.
DROP POLICY IF EXISTS usage_tracking_figures ON chat.usage_tracking;

-- Every row: no column of it is content. Policies are joined by OR for those they are for, and this is for one role.
CREATE POLICY usage_tracking_figures ON chat.usage_tracking
    FOR SELECT TO futureguide_analytics
    USING (true);

-- migrate:down

DROP POLICY IF EXISTS usage_tracking_figures ON chat.usage_tracking;
