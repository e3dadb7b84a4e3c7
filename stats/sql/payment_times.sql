-- How many seconds the latest payments took, from pressing Pay to the ticket.
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS median,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95
  FROM (SELECT extract(epoch FROM validated_at - paying_since) AS seconds
          FROM tickets_reservation
         WHERE validated_at > %(since)s AND paying_since IS NOT NULL
         ORDER BY validated_at DESC LIMIT %(most)s) latest
