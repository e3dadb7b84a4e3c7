-- How many seconds the latest payments took, from pressing Pay to the tickets. An order counts once.
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS median,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95
  FROM (SELECT DISTINCT order_id, extract(epoch FROM validated_at - paying_since) AS seconds
          FROM (SELECT COALESCE(lead_id, id) AS order_id, validated_at, paying_since
                  FROM tickets_reservation
                 WHERE validated_at > %(since)s AND paying_since IS NOT NULL
                 ORDER BY validated_at DESC LIMIT %(most)s) latest) orders
